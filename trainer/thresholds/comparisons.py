"""Comparisons with the people behind them: quantiles, and how far they can be trusted.

Comparisons that share a person depend on each other, so their number says too much about how
sure a quantile is. What is drawn anew here is people: a bootstrap sample of them weights the
comparison of persons a and b by how often a was drawn times how often b was (the vertex bootstrap
of Snijders & Borgatti, Connections 22, 1999). Drawing one person's comparisons as a block instead
(the subsets bootstrap, Bolle et al., CVIU 93, 2004) leaves out what two blocks share (Li et al.,
ICB 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.scoring.ranking_metrics import FloatArray, IntArray
from trainer.thresholds.similarities import GRID, Decisions, Quantiles

DoubleArray: TypeAlias = npt.NDArray[np.float64]

LOOKALIKES_BEYOND = 20
"""Different pairs of people (for genuine comparisons: different people) that must lie beyond a
quantile. Drawing 30 and 100 of Market-1501's 751 people, the upper end of the 95 % interval held
the quantile of all of them in 96 and 99 % of cases where so many pairs lay beyond, in 57 and 81 %
where 10 to 19 did, and in fewer below (tests/bench/calibration.py)."""
INTERVAL = (0.025, 0.975)
_KEPT_WHOLE = 200_000
"""Comparisons of the tail that are all kept; of the others an even sample as large does."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Comparisons of one kind, from the most telling to the least.

    Attributes:
        genuine: of one person under two cameras, the least similar first; otherwise of different
            people, the most similar first.
        similarities: (n,) float32.
        first, second: (n,) int64, whose track and whose template, each below `sum(people)`.
        weights: (n,) float64, the share of all comparisons that each one stands for; sum 1.
        people: how many there are in each of the data sets, numbered through.
        count: comparisons stood for.
    """

    genuine: bool
    similarities: FloatArray
    first: IntArray
    second: IntArray
    weights: DoubleArray
    people: tuple[int, ...]
    count: int

    def ends(self, weights: DoubleArray) -> IntArray:
        """Where each share of `GRID` ends, (P,) int64, when comparisons have these weights (n,)."""
        reached = np.cumsum(weights)
        ends = np.searchsorted(reached, np.array(GRID) * reached[-1] * (1 - 1e-9))
        return np.asarray(np.minimum(ends, len(reached) - 1), np.int64)

    def quantiles(self, weights: DoubleArray) -> FloatArray:
        """The similarity at each share of `GRID`, (P,) float32."""
        return self.similarities[self.ends(weights)]

    def table(self, weights: DoubleArray, supported: int) -> Quantiles:
        """(p, similarity) of the first so many shares of `GRID`."""
        shares, similarities = GRID[:supported], self.quantiles(weights)[:supported]
        return tuple(zip(shares, map(float, similarities), strict=True))

    def redrawn(self, copies: IntArray) -> DoubleArray:
        """Weights (n,) when each person takes part so many times.

        Nobody is an impostor of themselves: a copy of a person makes no pair with the original.
        """
        others = 1 if self.genuine else copies[self.second]
        return np.asarray(self.weights * copies[self.first] * others, np.float64)

    def lookalikes(self) -> IntArray:
        """Different pairs of people up to the end of each share of `GRID`, (P,) int64."""
        low, high = np.minimum(self.first, self.second), np.maximum(self.first, self.second)
        _, firsts = np.unique(low * sum(self.people) + high, return_index=True)
        found = np.searchsorted(np.sort(firsts), self.ends(self.weights), side="right")
        return np.asarray(found, np.int64)


def comparisons_of(made: Decisions, *, genuine: bool) -> Comparisons:
    """The comparisons of one kind, the bulk of them thinned.

    >>> from trainer.scoring.ranking_metrics import People
    >>> two = np.eye(2, dtype=np.float32)
    >>> who = People(two, np.array([0, 1]), np.array([1, 1]), np.ones(2))
    >>> same = np.eye(2, dtype=bool)
    >>> made = Decisions(who, who, similarity=two @ two.T, impostor=~same, genuine=same)
    >>> kept = comparisons_of(made, genuine=False)
    >>> kept.count, kept.similarities.tolist(), kept.first.tolist(), kept.second.tolist()
    (2, [0.0, 0.0], [0, 1], [1, 0])

    Impostor comparisons weigh the same. Genuine ones weigh so that every person does, and every
    track of a person: somebody with many pictures is no more likely to walk by.

    Raises:
        TrainingError: there are none.
    """
    labels, numbers = np.unique(made.templates.labels, return_inverse=True)
    cells = np.flatnonzero(made.genuine if genuine else made.impostor)
    if not len(cells):
        expected = "people seen by two cameras (or twice)" if genuine else "several people"
        raise TrainingError(f"thresholds: expected {expected}, got none among {len(labels)}")
    values = made.similarity.ravel()[cells]
    kept, share = _thinned(np.argsort(values if genuine else -values, kind="stable"))
    whose = np.searchsorted(labels, made.tracks.labels)
    width = made.similarity.shape[1]
    weights = _one_each(whose[cells // width], cells // width)[kept] if genuine else 1 / len(cells)
    tracks, templates = np.divmod(cells[kept], width)
    return Comparisons(
        genuine,
        values[kept],
        whose[tracks],
        numbers.ravel()[templates],
        weights * share,
        (len(labels),),
        len(cells),
    )


def joined(parts: Sequence[Comparisons]) -> Comparisons:
    """Comparisons of several data sets of different people as one; each set weighs the same."""
    offsets = np.cumsum([0, *(sum(part.people) for part in parts)])
    shifted = list(zip(parts, offsets[:-1], strict=True))
    similarities = np.concatenate([part.similarities for part in parts])
    order = np.argsort(similarities if parts[0].genuine else -similarities, kind="stable")
    return Comparisons(
        parts[0].genuine,
        similarities[order],
        np.concatenate([part.first + offset for part, offset in shifted])[order],
        np.concatenate([part.second + offset for part, offset in shifted])[order],
        np.concatenate([part.weights / len(parts) for part in parts])[order],
        tuple(size for part in parts for size in part.people),
        sum(part.count for part in parts),
    )


def draw_people(people: Sequence[int], rng: np.random.Generator) -> IntArray:
    """How often each person is drawn when each data set's people are drawn with replacement.

    >>> draw_people((3, 5), np.random.default_rng(0)).sum()
    8

    Args:
        people: of each data set.
        rng: of the draw.

    Returns:
        (sum(people),) int64.
    """
    drawn = [np.bincount(rng.integers(0, size, size), minlength=size) for size in people]
    return np.concatenate(drawn)


def _one_each(people: IntArray, tracks: IntArray) -> DoubleArray:
    """Weights (n,) of sum 1 with which people weigh the same, and a person's tracks do.

    >>> people, tracks = np.array([0, 0, 1]), np.array([0, 1, 2])
    >>> _one_each(people, tracks).tolist()
    [0.25, 0.25, 0.5]
    """
    _, of_track, sizes = np.unique(tracks, return_inverse=True, return_counts=True)
    owners = np.unique(np.stack([people, tracks]), axis=1)[0]
    tracks_each = np.bincount(owners, minlength=int(people.max()) + 1)
    weights = 1 / (sizes[of_track.ravel()] * tracks_each[people])
    return np.asarray(weights / weights.sum(), np.float64)


def _thinned(order: IntArray) -> tuple[IntArray, DoubleArray]:
    """The head and an even sample of the rest, with how many comparisons each stands for."""
    head, rest = order[:_KEPT_WHOLE], order[_KEPT_WHOLE:]
    step = max(1, len(rest) // _KEPT_WHOLE)
    sample = rest[step // 2 :: step]
    share = len(rest) / max(len(sample), 1)
    weights = np.concatenate([np.ones(len(head)), np.full(len(sample), share)])
    return np.concatenate([head, sample]), weights
