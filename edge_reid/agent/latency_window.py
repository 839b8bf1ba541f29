"""How long it takes from a frame to what it brought, of late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_MOST = 2000
"""Looks that are kept at most."""
_LEAST_SPAN_S = 1.0
"""A rate over less is chance."""


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Milliseconds, over some looks."""

    p50_ms: float
    p95_ms: float


class LatencyWindow:
    """Milliseconds of the looks of the last `span_s` seconds.

    >>> window = LatencyWindow(30.0, clock=lambda: 0.0)
    >>> for ms in (10.0, 20.0, 30.0):
    ...     window.note(ms)
    >>> window.summary
    LatencySummary(p50_ms=20.0, p95_ms=29.0)
    """

    def __init__(self, span_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._span_s = span_s
        self._clock = clock
        self._first_s: float | None = None
        self._noted: deque[tuple[float, float]] = deque(maxlen=_MOST)  # (when, how long in ms)

    def note(self, took_ms: float) -> None:
        """Take in one look."""
        now_s = self._clock()
        self._first_s = now_s if self._first_s is None else self._first_s
        self._noted.append((now_s, took_ms))

    @property
    def looks_per_s(self) -> float:
        """Over the span, or since the first look if that is shorter."""
        began_s = self._clock() if self._first_s is None else self._first_s
        span_s = min(self._span_s, self._clock() - began_s)
        return len(self._of_late()) / max(span_s, _LEAST_SPAN_S)

    @property
    def summary(self) -> LatencySummary | None:
        """Of the looks in the span; None when there was none."""
        taken_ms = self._of_late()
        if not taken_ms:
            return None
        p50, p95 = np.percentile(taken_ms, (50, 95))
        return LatencySummary(round(float(p50), 3), round(float(p95), 3))

    def count_above(self, most_ms: float) -> int:
        """Looks in the span that took longer than this."""
        return sum(took_ms > most_ms for took_ms in self._of_late())

    def __len__(self) -> int:
        return len(self._of_late())

    def clear(self) -> None:
        """Forget all: they were of other circumstances."""
        self._noted.clear()

    def _of_late(self) -> list[float]:
        earliest_s = self._clock() - self._span_s
        while self._noted and self._noted[0][0] < earliest_s:
            self._noted.popleft()
        return [took_ms for _, took_ms in self._noted]
