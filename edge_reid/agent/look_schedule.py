"""Which camera is looked at next: of those with a new frame, the most overdue.

A look is a run of a camera's stages over its newest frame. A frame that comes before its camera is
due again is passed over; one that comes later waits, until a newer one takes its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_EARLY_SHARE = 0.2
"""Of the time between two looks: a frame that comes so little too early is as good as due, and
fresher than the next one would be old."""


@dataclass(frozen=True, slots=True)
class Look:
    """A camera whose turn it is."""

    camera: str
    waited_s: float
    """Since a frame came that was due."""


@dataclass(frozen=True, slots=True)
class FrameCount:
    """Frames of one camera so far."""

    came: int = 0
    missed: int = 0
    """Of these, frames that were to be looked at when a newer one took their place."""
    silent_s: float | None = None
    """Since the last one came; None: none has."""


@dataclass(slots=True)
class _Turn:
    due_s: float
    early_s: float = 0.0
    waits_since_s: float | None = None
    """Since when a frame waits that is to be looked at; None: none does."""
    came: int = 0
    missed: int = 0
    last_s: float | None = None
    """When the last frame came."""
    is_in_hand: bool = False
    """Whether it is looked at now."""


class LookSchedule:
    """Frames that wait, and when their cameras are due. Safe for several threads.

    Args:
        cameras: their names; all are due at once.
        clock: seconds that only ever rise.
        at_once: looks at a time, each of another camera.
    """

    def __init__(
        self,
        cameras: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
        *,
        at_once: int = 1,
    ) -> None:
        self._clock = clock
        self._at_once = at_once
        now_s = clock()
        self._changed = threading.Condition()  # guards the two below; notified when one changes
        self._turns = {camera: _Turn(now_s) for camera in cameras}
        self._is_woken = False

    def frame_came(self, camera: str) -> None:
        """Say that a camera has a newer frame; from any thread."""
        with self._changed:
            turn, now_s = self._turns[camera], self._clock()
            turn.came += 1
            turn.last_s = now_s
            if turn.waits_since_s is not None:
                turn.missed += 1
            elif now_s >= turn.due_s - turn.early_s:
                turn.waits_since_s = now_s
                self._changed.notify_all()

    def wake(self) -> None:
        """Have whoever waits for a turn look what else there is; from any thread."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def next(self, timeout_s: float) -> Look | None:
        """The camera whose turn it is, which is waited for; None when none is due in time, or
        somebody has called `wake` since the last call.

        It stays due until `taken`: its frame may be gone, and the next one is then as good.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_woken or self._waiting(), timeout_s)
            was_woken, self._is_woken = self._is_woken, False
            waiting = self._waiting()
            if was_woken or not waiting:
                return None
            camera = min(waiting, key=lambda name: self._turns[name].due_s)
            self._turns[camera].waits_since_s = None
            return Look(camera, self._clock() - waiting[camera])

    def taken(self, camera: str, period_s: float) -> None:
        """Say that the newest frame of a camera was taken; it is due again `period_s` after it was,
        and has no other turn before `done`.

        What it missed is not made up for.
        """
        with self._changed:
            turn, now_s = self._turns[camera], self._clock()
            is_on_time = now_s - turn.due_s < period_s
            turn.due_s = period_s + (turn.due_s if is_on_time else now_s)
            turn.early_s = period_s * _EARLY_SHARE
            turn.waits_since_s = None
            turn.is_in_hand = True

    def done(self, camera: str) -> None:
        """Say that the frame that was taken has been looked at."""
        with self._changed:
            self._turns[camera].is_in_hand = False

    def count(self, camera: str) -> FrameCount:
        """Frames of a camera so far."""
        with self._changed:
            turn = self._turns[camera]
            silent_s = None if turn.last_s is None else self._clock() - turn.last_s
            return FrameCount(turn.came, turn.missed, silent_s)

    def _waiting(self) -> dict[str, float]:
        """Cameras with a frame that is to be looked at and can be, and since when it waits."""
        turns = self._turns
        if sum(turn.is_in_hand for turn in turns.values()) >= self._at_once:
            return {}
        return {
            name: turn.waits_since_s
            for name, turn in turns.items()
            if turn.waits_since_s is not None and not turn.is_in_hand
        }
