"""How many values fell into which class, over the life of a process."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HistogramCounts:
    """A histogram as it was at one moment."""

    bounds: tuple[float, ...]
    """Upper ends of the classes, rising; each belongs to its class."""
    counts: tuple[int, ...]
    """By class; the last one is of the values above the last bound."""
    total: float
    """The sum of all values."""

    @property
    def cumulated(self) -> tuple[int, ...]:
        """Values up to each bound, and all of them at the end.

        >>> HistogramCounts((1.0, 2.0), (3, 0, 1), 9.5).cumulated
        (3, 3, 4)
        """
        sums: list[int] = []
        for count in self.counts:
            sums.append(count + (sums[-1] if sums else 0))
        return tuple(sums)


class Histogram:
    """Counts values by classes. One thread notes; any may read.

    >>> histogram = Histogram((1.0, 2.0))
    >>> for value in (0.5, 1.0, 1.5, 7.0):
    ...     histogram.note(value)
    >>> histogram.counts
    HistogramCounts(bounds=(1.0, 2.0), counts=(2, 1, 1), total=10.0)

    Args:
        bounds: upper ends of the classes, rising.
        counts: to begin with, one more than bounds.
    """

    def __init__(self, bounds: Sequence[float], counts: Sequence[int] = ()) -> None:
        self._bounds = tuple(bounds)
        self._counts = list(counts or (0,) * (len(self._bounds) + 1))
        self._total = 0.0

    def note(self, value: float) -> None:
        """Take in one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    @property
    def counts(self) -> HistogramCounts:
        """As it is now; a value that is being noted may be missing from the sum."""
        return HistogramCounts(self._bounds, tuple(self._counts), self._total)
