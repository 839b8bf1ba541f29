"""Who watches a run: progress, an annotated film, a page, metrics. None of them can harm it.

What is enforced, for each observer alone:

* It is called from a thread of its own, so it holds up neither the frames nor another observer.
* One that raises is logged with its traceback and not called again.
* Of a live source it never makes a frame wait: while `WAITING_STEPS` wait for it, the oldest of
  them is left out for each new one.
* Of a file every step reaches it, in order: the frames wait for it, `PATIENCE_S` at most. Then it
  is left behind: logged, and not called again.
* The end of a run waits `FAREWELL_S` at most for it.

What is not: an observer that computes in Python shares the interpreter with the pipeline.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.pipeline import Step

_log = logging.getLogger(__name__)

WAITING_STEPS = 4
"""A step holds its frame: six megabytes of 1080p."""
WAITING_CALLS = 64
"""All that may wait, notices too; beyond it the oldest are left out."""
PATIENCE_S = 30.0
"""A film in VP9 may take seconds a frame on a small device that is busy."""
FAREWELL_S = 20.0


class Observer:
    """Whoever watches a run overrides what it wants to know. All calls come from one thread."""

    camera: str | None = None
    """Whose steps it wants; None: those of all."""

    def opened(self, parts: AgentParts, /) -> None:
        """The agent is built; what of it any thread may read says so."""

    def started(self, camera: str, frames_expected: int | None, /) -> None:
        """The source of a camera is open; None expects frames for ever."""

    def stepped(self, step: Step, /) -> None:
        """A frame went through; what it brought is shared with others and must not be changed."""

    def notice(self, line: str, /) -> None:
        """Something a person should know now."""

    def camera_notice(self, camera: str, line: str, /) -> None:  # noqa: ARG002
        """Something a person should know of a camera; its name does not stand in the line."""
        self.notice(line)

    def interrupted(self, summary: RunSummary, /) -> None:
        """Somebody ended the run before its source did; this is what it brought."""

    def closed(self) -> None:
        """The last call of all; it also comes after one that raised."""


class Observers:
    """All who watch a run. `with` starts and ends their threads.

    Args:
        observers: who watches; what one is told is in order, whatever the others do.
        is_live: frames do not wait for anybody.
    """

    def __init__(self, observers: Sequence[Observer], *, is_live: bool) -> None:
        self._feeds = [_Feed(observer, is_live=is_live) for observer in observers]

    def __enter__(self) -> Observers:
        for feed in self._feeds:
            feed.start()
        return self

    def __exit__(self, *_: object) -> None:
        for feed in self._feeds:
            feed.close()

    def opened(self, parts: AgentParts) -> None:
        for feed in self._feeds:
            feed.put(partial(feed.observer.opened, parts))

    def started(self, camera: str, frames_expected: int | None) -> None:
        for feed in self._feeds:
            feed.put(partial(feed.observer.started, camera, frames_expected))

    def stepped(self, step: Step) -> None:
        for feed in self._feeds:
            if feed.observer.camera in {None, step.camera}:
                feed.put_step(partial(feed.observer.stepped, step))

    def notice(self, line: str) -> None:
        for feed in self._feeds:
            feed.put(partial(feed.observer.notice, line))

    def camera_notice(self, camera: str, line: str) -> None:
        for feed in self._feeds:
            feed.put(partial(feed.observer.camera_notice, camera, line))

    def interrupted(self, summary: RunSummary) -> None:
        for feed in self._feeds:
            feed.put(partial(feed.observer.interrupted, summary))


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    make: Callable[[], None]
    is_step: bool


class _Feed:
    """One observer, its thread, and the calls that wait for it."""

    def __init__(self, observer: Observer, *, is_live: bool) -> None:
        self.observer = observer
        self._name = type(observer).__name__
        self._is_live = is_live
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition()  # guards `_calls` and the two below; notified
        self._is_out = False  # it raised, or was left behind
        self._is_closing = False
        self._has_skipped = False
        self._thread = threading.Thread(
            target=self._run, name=f"observer {self._name}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def put(self, make: Callable[[], None]) -> None:
        """Have a call made after those that wait."""
        with self._changed:
            self._append(_Call(make, is_step=False))

    def put_step(self, make: Callable[[], None]) -> None:
        """The same of a frame's call, of which few may wait."""
        with self._changed:
            if not self._is_live and not self._changed.wait_for(self._has_room, PATIENCE_S):
                self._leave_behind()
            while not self._has_room():
                self._skip_oldest_step()
            self._append(_Call(make, is_step=True))

    def close(self) -> None:
        """Have all that waits done, within `FAREWELL_S`."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(FAREWELL_S)
        if self._thread.is_alive():
            _log.error("observer %s: not done within %g s; left alone", self._name, FAREWELL_S)

    def _append(self, call: _Call) -> None:
        if self._is_out:
            return
        self._calls.append(call)
        while len(self._calls) > WAITING_CALLS:
            self._calls.popleft()
        self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._is_out or sum(call.is_step for call in self._calls) < WAITING_STEPS

    def _skip_oldest_step(self) -> None:
        self._calls.remove(next(call for call in self._calls if call.is_step))
        if not self._has_skipped:
            _log.warning("observer %s: too slow for this camera; frames are left out", self._name)
        self._has_skipped = True

    def _leave_behind(self) -> None:
        _log.error(
            "observer %s: expected a frame to be taken within %g s; it is left behind, the run "
            "goes on",
            self._name,
            PATIENCE_S,
        )
        self._is_out = True
        self._calls.clear()

    def _run(self) -> None:
        try:
            while (call := self._next()) is not None:
                call.make()
        except Exception:
            _log.exception("observer %s: failed; the run goes on without it", self._name)
            self._drop_out()
        try:
            self.observer.closed()
        except Exception:
            _log.exception("observer %s: failed at its end", self._name)

    def _next(self) -> _Call | None:
        """The next call, which is waited for; None at the end, or when it was left behind."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._is_closing or self._is_out)
            if self._is_out or not self._calls:
                return None
            call = self._calls.popleft()
            self._changed.notify_all()
            return call

    def _drop_out(self) -> None:
        with self._changed:
            self._is_out = True
            self._calls.clear()
            self._changed.notify_all()
