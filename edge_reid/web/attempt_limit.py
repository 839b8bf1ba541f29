"""How often somebody may try to log in."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

FAILURES_EACH = 5
FAILURES_OF_ALL = 50
SPAN_S = 60.0
_MOST_ADDRESSES = 1000


class AttemptLimit:
    """Failed attempts of the last minute, by address and of all.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of_all: deque[float] = deque(maxlen=FAILURES_OF_ALL)
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Until the next attempt from this address is allowed; 0: it is now."""
        return max(
            self._wait_s(self._of_all, FAILURES_OF_ALL),
            self._wait_s(self._by_address.get(address, deque()), FAILURES_EACH),
        )

    def begin(self, address: str) -> None:
        """An attempt counts as failed from its beginning, so that many at once are many."""
        now_s = self._clock()
        self._of_all.append(now_s)
        own = self._by_address.setdefault(address, deque(maxlen=FAILURES_EACH))
        own.append(now_s)
        self._by_address.move_to_end(address)
        while len(self._by_address) > _MOST_ADDRESSES:
            self._by_address.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """The last attempt was right: the address begins anew."""
        self._by_address.pop(address, None)
        if self._of_all:
            self._of_all.pop()

    def _wait_s(self, failures: deque[float], most: int) -> float:
        if len(failures) < most:
            return 0.0
        return max(0.0, failures[0] + SPAN_S - self._clock())
