"""Wall-clock time that takes no step while somebody relies on it."""

from __future__ import annotations

import time
from collections.abc import Callable

_STEP_S = 0.5
"""Less than this is no step: clocks are also set right little by little, which the steady time
follows."""


class SteadyClock:
    """Unix seconds that only ever go on, until whoever uses them takes over a clock that was set.

    So all times of a track are of one clock, and `last_seen` never lies before `first_seen`.

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
        """The moment of now, as `at` wants it."""
        return self._ticks()

    def at(self, ticks_s: float) -> float:
        """The Unix seconds of a moment."""
        return ticks_s + self._offset_s

    def now(self) -> float:
        return self.at(self._ticks())

    def was_set(self) -> bool:
        """Whether the wall clock has taken a step since it was last taken over."""
        return abs(self._wall() - self.now()) > _STEP_S

    def adopt(self) -> float:
        """Go by the wall clock as it is now; the seconds by which times so move."""
        before_s, self._offset_s = self._offset_s, self._wall() - self._ticks()
        return self._offset_s - before_s
