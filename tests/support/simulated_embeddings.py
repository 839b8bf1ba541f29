"""Embeddings of tracks of people who do not exist, as near to each other as those of real ones.

    unit(common + person + track)

A person and a track are Gaussian along 256 axes whose variances fall exponentially. People are
dressed alike in steps: one in 8 shares `SHARED / LEVELS` of what a person looks like, of those one
in 8 as much again, and so on. Tracks are more or less blurred, and most people leave a few, some
very many.

Fitted to 3,262 tracks of 751 people of Market-1501 by the shipped model: variances, axes and blur
to theirs, and `SHARED` so that an inverted file of 64 lists finds as many of the ten nearest as of
theirs, whatever number of lists is searched (tests/bench/README.md). With 0.88 the similarities of
two people would agree better (`alikeness`), and an index would have it too easy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.types import Vectors

DIMENSION = 256
COMMON = 0.28
"""Length of what all embeddings share."""
PERSON_VARIANCE, PERSON_AXES = 0.71, 27.0
"""In all, and the axes over which it falls by e."""
TRACK_VARIANCE, TRACK_AXES = 0.16, 90.0
BLUR = 1.0
"""How much the variance of a track differs from another's: standard deviation of its logarithm."""
LEVELS, BRANCHES, SHARED = 4, 8, 0.68
SEEN_MEDIAN, SEEN_SPREAD = 4.0, 1.1
"""Tracks that a person leaves, log-normal: of a hundred people one leaves over fifty."""

Whose = NDArray[np.int64]


class SimulatedPeople:
    """A crowd, and what a model would say of it.

    Args:
        tracks: that they leave in all.
        seen: tracks of each person; None: most leave a few, some very many.
        seed: another one, another crowd.
    """

    def __init__(self, tracks: int, *, seen: int | None = None, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        axes = np.linalg.qr(self._rng.standard_normal((DIMENSION, DIMENSION)))[0]
        self._axes = axes.T.astype(np.float32)
        self.whose = self._rng.permutation(self._sightings(tracks, seen))
        self._looks = self._dressed(int(self.whose.max()) + 1)

    def tracks(self, a_part: int) -> Iterator[Vectors]:
        """(n, D) unit rows, of `whose` one after the other, `a_part` at once."""
        for start in range(0, len(self.whose), a_part):
            yield self.seen(self.whose[start : start + a_part])

    def seen(self, whose: Whose) -> Vectors:
        """(n, D) unit rows: a further track of each of some people."""
        blur = np.exp(self._rng.normal(-(BLUR**2) / 2, BLUR, (len(whose), 1)) / 2)
        scattered = self._scattered(len(whose), TRACK_VARIANCE, TRACK_AXES) * blur
        rows = self._looks[whose] + scattered.astype(np.float32)
        rows[:, -1] += COMMON
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        turned: Vectors = rows @ self._axes
        return turned

    def _sightings(self, tracks: int, seen: int | None) -> Whose:
        """(tracks,) whose each is."""
        drawn = np.exp(self._rng.normal(np.log(SEEN_MEDIAN), SEEN_SPREAD, tracks))
        counts = np.maximum(1, drawn.round()) if seen is None else np.full(tracks, seen)
        ends = np.cumsum(counts.astype(np.int64))
        people = int(np.searchsorted(ends, tracks)) + 1
        return np.repeat(np.arange(people), np.diff(np.minimum(ends[:people], tracks), prepend=0))

    def _dressed(self, people: int) -> Vectors:
        """(people, D), what each looks like, without what all share."""
        looks = self._scattered(people, (1 - SHARED) * PERSON_VARIANCE, PERSON_AXES)
        group = np.zeros(people, np.int64)
        for _ in range(LEVELS):
            group = group * BRANCHES + self._rng.integers(0, BRANCHES, people)
            shared = SHARED * PERSON_VARIANCE / LEVELS
            looks += self._scattered(int(group.max()) + 1, shared, PERSON_AXES)[group]
        return looks

    def _scattered(self, count: int, variance: float, axes: float) -> Vectors:
        fall = np.exp(-np.arange(DIMENSION) / axes)
        deviations = np.sqrt(variance * fall / fall.sum()).astype(np.float32)
        return self._rng.standard_normal((count, DIMENSION), np.float32) * deviations


@dataclass(frozen=True, slots=True)
class Alikeness:
    """How alike tracks are: what makes a search among them hard."""

    others: tuple[float, ...]
    """Similarity that one in 2, 10, 100, 1,000 and 10,000 pairs of two people reaches."""
    same: tuple[float, ...]
    """The same of pairs of one person: that 99, 90, 50 and 10 in 100 reach."""
    dimension: float
    """Of the neighbourhood of a track, its 20 nearest of other people: intrinsic dimension by
    maximum likelihood (Levina & Bickel, NIPS 2004)."""


def alikeness(vectors: Vectors, whose: Whose) -> Alikeness:
    """Of all pairs of (N, D) unit rows, of a few thousand."""
    similarities = vectors @ vectors.T
    is_same = whose[:, None] == whose
    of_others = np.quantile(similarities[~is_same], [0.5, 0.9, 0.99, 0.999, 0.9999])
    same = similarities[is_same & ~np.eye(len(whose), dtype=bool)]
    similarities[is_same] = -1.0
    nearest = -np.partition(-similarities, 20, axis=1)[:, :20]
    distances = np.sqrt(np.maximum(2 - 2 * np.sort(nearest, axis=1)[:, ::-1], 1e-9))
    dimensions = 1 / np.log(distances[:, -1:] / distances[:, :-1]).mean(axis=1)
    return Alikeness(
        tuple(of_others.tolist()),
        tuple(np.quantile(same, [0.01, 0.1, 0.5, 0.9]).tolist()),
        float(np.median(dimensions)),
    )
