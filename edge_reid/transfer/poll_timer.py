"""When to ask a source that says nothing by itself."""

from __future__ import annotations

import time
from collections.abc import Callable


class PollTimer:
    """Is due every so many seconds, and at once at first."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._next_s = clock()

    def trigger(self) -> None:
        """Make it due now; from any thread."""
        self._next_s = self._clock()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is due, or for so long; says whether it was. Asking is taking."""
        left_s = self._next_s - self._clock()
        if left_s > timeout_s:
            time.sleep(timeout_s)
            return False
        time.sleep(max(0.0, left_s))
        self._next_s = self._clock() + self._every_s
        return True
