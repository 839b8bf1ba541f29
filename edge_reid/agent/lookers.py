"""Threads that look: each takes one turn at a time through the stages of its camera."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from queue import SimpleQueue

from edge_reid.agent.pipeline import Step
from edge_reid.agent.watched_camera import Turn, WatchedCamera
from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.log_context import camera_in_log

CAMERAS_EACH = 4
"""Of the shipped models one looker keeps up with so many on two x86 cores; another one has them in
memory once more."""
_LONG_S = 5.0
"""A look that takes longer may never end."""
_FAREWELL_S = 1.0
"""So long looks are waited for of which nobody will hear; one that hangs is then left behind."""


def looker_count(threads: int, *, cameras: int) -> int:
    """How many looks at a time are worth their memory.

    >>> [looker_count(2, cameras=cameras) for cameras in (0, 1, 4, 5, 8, 16)]
    [1, 1, 1, 2, 2, 2]

    Args:
        threads: for inference, all together; each look has one of its own.
        cameras: that are live; recordings are looked at in their order.
    """
    return max(1, min(threads, math.ceil(cameras / CAMERAS_EACH)))


class Lookers(ClosedAfterUse):
    """Turns in hand, and what became of them. Of the thread that takes the frames, which is itself
    the looker where there is one alone.

    Args:
        count: of looks at a time, each of another camera.
        on_done: called when a look of another thread is done, mostly there.
    """

    def __init__(self, count: int = 1, on_done: Callable[[], None] = lambda: None) -> None:
        self._on_done = on_done
        self._in_hand: dict[Future[Step], Turn] = {}
        self._began_s: dict[WatchedCamera, float] = {}
        self._given: SimpleQueue[tuple[Future[Step], Turn] | None] = SimpleQueue()
        # daemons: those of a pool would hold up the end of the process for as long as a look hangs
        self._threads = [
            threading.Thread(target=self._work, name=f"looker_{number}", daemon=True)
            for number in range(count if count > 1 else 0)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Wait a moment for the looks in hand, of which nobody will hear."""
        deadline_s = time.monotonic() + _FAREWELL_S
        for _ in self._threads:
            self._given.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        self._threads.clear()

    def look(self, turn: Turn) -> None:
        """Begin a look, at a camera that is not in hand."""
        self._began_s[turn.camera] = time.monotonic()
        looked: Future[Step] = Future()
        if not self._threads:
            _look(looked, turn)  # who interrupts it for good leaves nothing in hand
            self._in_hand[looked] = turn
            return
        self._in_hand[looked] = turn
        looked.add_done_callback(lambda _: self._on_done())
        self._given.put((looked, turn))

    def done(self) -> Iterator[tuple[Turn, Step]]:
        """The looks that are done, in the order in which they began; each is given once.

        Raises:
            Exception: what a look has raised; the others can be asked for again.
        """
        for looked in [each for each in self._in_hand if each.done()]:
            yield self._in_hand.pop(looked), looked.result()

    def settled(self) -> Iterator[tuple[Turn, Step]]:
        """As `done`, of all in hand, which are waited for."""
        wait(self._in_hand)
        return self.done()

    def has_in_hand(self, camera: WatchedCamera) -> bool:
        """Whether somebody looks at this camera now, or has and nobody has heard of it."""
        return any(turn.camera is camera for turn in self._in_hand.values())

    @property
    def are_held_up(self) -> bool:
        """Whether a look takes so long that it may never end."""
        began_s = [self._began_s[turn.camera] for turn in self._in_hand.values()]
        return bool(began_s) and time.monotonic() - min(began_s) > _LONG_S

    def _work(self) -> None:
        while given := self._given.get():
            _look(*given)
            del given  # and with it the picture, before the next comes


def _look(looked: Future[Step], turn: Turn) -> None:
    """Look, and say what came of it; an error is raised where that is asked for."""
    try:
        with camera_in_log(turn.camera.name):
            step = turn.camera.look(turn)
    except Exception as error:
        looked.set_exception(error)
    else:
        looked.set_result(step)
