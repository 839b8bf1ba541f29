"""How a run is doing: counters, stage times, memory."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from edge_reid.agent.histogram import Histogram, HistogramCounts

STAGE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper ends of the classes of a stage's durations."""


SIMILARITY_BOUNDS = tuple(step / 20 for step in range(21))
"""Upper ends of the classes of cosine similarities; all below 0 are one class."""


class StageClock:
    """Durations of named stages, counted by classes as they happen.

    Args:
        keep: so many of the newest durations of a stage are kept for `summary`. An agent keeps
            none: it runs for years, and they would be 5 MB a camera.
    """

    def __init__(self, *, keep: int = 0) -> None:
        self._ms: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=keep))
        self._histograms: dict[str, Histogram] = {}
        self._inner_s = 0.0  # of the stages that ran within the one that runs now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of a with statement, less the stages within it: they count on their own."""
        start, outer_s, self._inner_s = time.perf_counter(), self._inner_s, 0.0
        try:
            yield
        finally:
            whole_s = time.perf_counter() - start
            took_s, self._inner_s = whole_s - self._inner_s, outer_s + whole_s
            self._ms[name].append(took_s * 1e3)
            histogram = self._histograms.get(name)
            if histogram is None:
                histogram = self._histograms[name] = Histogram(STAGE_BOUNDS_S)
            histogram.note(took_s)

    @property
    def seconds(self) -> dict[str, HistogramCounts]:
        """All durations ever, in seconds, by stage; any thread may ask."""
        return {name: histogram.counts for name, histogram in tuple(self._histograms.items())}

    def summary(self) -> tuple[StageSummary, ...]:
        """One row a stage, in the order in which they first ran, of what is kept; none of what is
        not.
        """
        return tuple(StageSummary.of(name, values) for name, values in self._ms.items() if values)


@dataclass(frozen=True, slots=True)
class StageSummary:
    """How long one stage took, over `runs` runs."""

    name: str
    runs: int
    p50_ms: float
    p95_ms: float
    total_ms: float

    @classmethod
    def of(cls, name: str, durations_ms: Sequence[float]) -> StageSummary:
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
    """What happened so far; the pipeline writes it, status, summary and metrics read it."""

    frames: int = 0
    detections_run: int = 0
    detections: int = 0
    """People that they found, frame by frame."""
    tracks: int = 0
    embeddings: int = 0
    compared: int = 0
    """Of these, those that only told the tracker who is who: no track keeps them."""
    uncompared: int = 0
    """Crops that would have told it, and were not embedded, as no time was left."""
    enlarged: int = 0
    """Of the others, embeddings of crops from the large stream of a camera with two."""
    uncertain_tracks: int = 0
    hits_by_identity: Counter[str] = field(default_factory=Counter)
    """Tracks told as known, by identity."""
    unknown_tracks: int = 0
    unknown_similarities: Histogram = field(default_factory=partial(Histogram, SIMILARITY_BOUNDS))
    """Of tracks decided unknown to whoever enrolled is nearest."""

    @property
    def known_tracks(self) -> int:
        """Tracks told as known, whoever they show; any thread may ask."""
        return sum(self.hits_by_identity.copy().values())


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
