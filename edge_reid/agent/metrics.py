"""How a run is doing: counters, stage times, memory."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np


class StageClock:
    """Durations of named stages, in milliseconds, as they happen.

    Keeps at most `limit` newest durations a stage, so that an agent may run for years.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._ms: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of a with statement."""
        start = time.perf_counter()
        try:
            yield
        finally:
            durations = self._ms[name]
            durations.append((time.perf_counter() - start) * 1e3)
            if len(durations) > 2 * self._limit:
                del durations[: self._limit]

    def summary(self) -> tuple[StageSummary, ...]:
        """One row a stage, in the order in which they first ran."""
        return tuple(StageSummary.of(name, values) for name, values in self._ms.items())


@dataclass(frozen=True, slots=True)
class StageSummary:
    """How long one stage took, over `runs` runs."""

    name: str
    runs: int
    p50_ms: float
    p95_ms: float
    total_ms: float

    @classmethod
    def of(cls, name: str, durations_ms: list[float]) -> StageSummary:
        p50, p95 = np.percentile(durations_ms, (50, 95))
        return cls(name, len(durations_ms), float(p50), float(p95), float(np.sum(durations_ms)))


_LEAST_SPAN_S = 1.0
"""A rate over less is chance."""


class FrameRate:
    """Frames per second since it was asked for last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since_s = clock()
        self._frames = 0
        self._rate: float | None = None

    def of_late(self, frames: int) -> float | None:
        """Of the time since the last call, given how many there are by now; what was said last if
        that was just before, and None if nothing was.
        """
        span_s = self._clock() - self._since_s
        if span_s >= _LEAST_SPAN_S:
            self._rate = (frames - self._frames) / span_s
            self._since_s += span_s
            self._frames = frames
        return self._rate


@dataclass(slots=True)
class Counters:
    """What happened so far; the pipeline writes it, status and summary read it."""

    frames: int = 0
    detections_run: int = 0
    tracks: int = 0
    embeddings: int = 0
    uncertain_tracks: int = 0
    hits_by_identity: Counter[str] = field(default_factory=Counter)
    """Tracks told as known, by identity."""
    unknown_tracks: int = 0


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The end of a run, for people and for `--json`."""

    frames: int
    video_s: float
    wall_s: float
    detections_run: int
    tracks: int
    embeddings: int
    hits_by_identity: dict[str, int]
    unknown_tracks: int
    uncertain_tracks: int
    dropped_frames: int
    dropped_events: int
    waiting_events: int
    undelivered: str | None
    """Why events still wait for the broker, and where; None when it has them all."""

    @property
    def fps(self) -> float:
        """Frames handled per second of wall clock."""
        return self.frames / self.wall_s if self.wall_s > 0 else 0.0


def resident_mb() -> float:
    """Peak resident memory of this process, in MB (10⁶ bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
