"""How often a log may say the same: a fault that comes with every frame must not fill the disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

_MOST_KEYS = 200
"""Messages that are counted at once; a new one takes the place of the oldest."""


@dataclass(slots=True)
class _Count:
    began_s: float
    said: int = 0
    withheld: int = 0


class RepeatLimit:
    """Lets so many of the same message pass in a span, and counts the others. Of one thread.

    >>> limit = RepeatLimit(most=2, span_s=60.0, clock=lambda: 0.0)
    >>> [limit.passes("no room") for _ in range(4)]
    [True, True, False, False]
    >>> list(limit.take_withheld(is_end=True))
    [('no room', 2)]

    Args:
        most: of one message in a span.
        span_s: from the first of them.
        clock: seconds that only ever rise.
    """

    def __init__(
        self, most: int = 10, span_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._span_s = span_s
        self._clock = clock
        self._counts: dict[Hashable, _Count] = {}  # the oldest first

    def passes(self, message: Hashable) -> bool:
        """Whether this one may be said; else it is counted."""
        count = self._counts.get(message)
        if count is None:
            while len(self._counts) >= _MOST_KEYS:
                del self._counts[next(iter(self._counts))]
            count = self._counts[message] = _Count(self._clock())
        if count.said >= self._most:
            count.withheld += 1
            return False
        count.said += 1
        return True

    def take_withheld(self, *, is_end: bool = False) -> Iterator[tuple[Hashable, int]]:
        """Messages whose span is over, and how many of each were not said, if any.

        Args:
            is_end: all spans are over now.
        """
        latest_s = self._clock() - self._span_s
        over = [key for key, count in self._counts.items() if is_end or count.began_s <= latest_s]
        for key in over:
            if withheld := self._counts.pop(key).withheld:
                yield key, withheld
