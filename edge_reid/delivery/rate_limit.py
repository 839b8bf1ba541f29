"""How fast things may go out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

BURST_S = 0.1
"""What was not used of so long may be made up for, so that a coarse loop still keeps the rate."""


class RateLimit:
    """Lets at most `per_s` things a second pass, evenly; None lets all pass."""

    def __init__(self, per_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 1 / per_s if per_s else 0.0
        self._clock = clock
        self._next_s = -math.inf

    @property
    def wait_s(self) -> float:
        """Seconds until the next one may pass; 0 when it may now."""
        return max(0.0, self._next_s - self._clock())

    def passed(self) -> None:
        """One went."""
        self._next_s = max(self._next_s, self._clock() - BURST_S) + self._interval_s
