"""Wall-clock time without steps: a clock that is set does not move the times of a track."""

from __future__ import annotations

import time
from collections.abc import Callable

_STEP_S = 0.5
"""Least change of the wall clock against the steady one that counts as a step."""


class SteadyClock:
    """Unix seconds that never go back, until `adopt` takes over a wall clock that was set.

    All times of a track are thus of one clock, and `last_seen` is never before `first_seen`.

    >>> wall, ticks = [1000.0], [5.0]
    >>> clock = SteadyClock(lambda: wall[0], lambda: ticks[0])
    >>> wall[0], ticks[0] = 971.0, 6.0  # a second later the clock is set back by 30 s
    >>> clock.now(), clock.was_set()
    (1001.0, True)
    >>> clock.adopt()
    -30.0
    >>> clock.now(), clock.was_set()
    (971.0, False)
    """

    def __init__(
        self,
        wall: Callable[[], float] | None = None,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        self._wall = wall or time.time
        self._ticks = ticks or time.monotonic
        self._offset_s = self._wall() - self._ticks()

    def ticks(self) -> float:
        """The present moment in seconds of the monotonic clock, for `at`."""
        return self._ticks()

    def at(self, ticks_s: float) -> float:
        """The Unix seconds of a moment of the monotonic clock."""
        return ticks_s + self._offset_s

    def now(self) -> float:
        return self.at(self._ticks())

    def was_set(self) -> bool:
        """Whether the wall clock has made a step since the last `adopt`."""
        return abs(self._wall() - self.now()) > _STEP_S

    def adopt(self) -> float:
        """Follow the wall clock as it is now; returns the seconds by which times move."""
        before_s, self._offset_s = self._offset_s, self._wall() - self._ticks()
        return self._offset_s - before_s
