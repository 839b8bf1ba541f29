"""Ranking metrics of re-identification: the Market-1501 protocol as Torchreid applies it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_reid.matching.fusion import Qualities
from trainer.data.datasets import JUNK_IDENTITY

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_CHUNK = 256
"""Queries compared at a time: 256 × 19,732 similarities are 20 MB."""
NOBODY = -1
"""Fills a ranked list that is shorter than the others."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Embeddings with who and where.

    Attributes:
        embeddings: (N, D) float32 unit rows.
        labels: (N,) int64, whose each is; negative for nobody's.
        cameras: (N,) int64.
        qualities: (N,) float64 in [0, 1], the weight of each in a track; rankings ignore it.
    """

    embeddings: FloatArray
    labels: IntArray
    cameras: IntArray
    qualities: Qualities

    def take(self, index: IntArray | BoolArray) -> People:
        """The rows at `index`."""
        return People(
            self.embeddings[index], self.labels[index], self.cameras[index], self.qualities[index]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Result of ranking a gallery for each of Q queries.

    Attributes:
        cmc: (R,) float64, share of valid queries whose first match is at rank k+1 or better.
        average_precisions: (Q,) float64 in [0, 1]; NaN for a query without any valid match.
        inverse_penalties: (Q,) float64 in [0, 1], matches / rank of the last match; NaN likewise.
        ranked: (Q, R) int64, the head of each query's ranked list: rows of the gallery as it was
            given, best first, without what is left out for this query; `NOBODY` (-1) past the end.
    """

    cmc: npt.NDArray[np.float64]
    average_precisions: npt.NDArray[np.float64]
    inverse_penalties: npt.NDArray[np.float64]
    ranked: IntArray

    @property
    def skipped(self) -> tuple[int, ...]:
        """Indices of queries without any valid match; they count nowhere."""
        return tuple(int(i) for i in np.flatnonzero(np.isnan(self.average_precisions)))

    @property
    def queries(self) -> int:
        """Number of valid queries."""
        return int(np.sum(~np.isnan(self.average_precisions)))

    @property
    def mean_average_precision(self) -> float:
        """The mAP in [0, 1]; NaN when no query is valid."""
        return _mean(self.average_precisions)

    @property
    def mean_inverse_penalty(self) -> float:
        """The mINP in [0, 1] (Ye et al., Deep Learning for Person Re-ID, TPAMI 2021)."""
        return _mean(self.inverse_penalties)

    def rank(self, k: int) -> float:
        """CMC at rank k (1-based), in [0, 1]; see `rank_gallery`.

        Raises:
            ValueError: the curve is shorter.
        """
        if not 1 <= k <= len(self.cmc):
            raise ValueError(f"expected a rank of 1 to {len(self.cmc)}, got {k}")
        return float(self.cmc[k - 1])


def rank_gallery(
    query: People, gallery: People, *, cross_camera: bool = True, max_rank: int = 50
) -> Ranking:
    """Rank the gallery for each query by cosine similarity.

    As in Torchreid's `eval_market1501`: gallery pictures of the query's identity *and* camera are
    left out, distractors (a label no query has) stay, queries left without a match are skipped.
    Junk (label -1) is left out of the gallery altogether, as Torchreid's reader of the data set
    does. Average precision is the mean of the precision at each match (Zheng et al., Scalable
    Person Re-identification: A Benchmark, ICCV 2015).

    Torchreid orders equal similarities by chance. Here somebody else goes before a match, then the
    order of the gallery decides: the result does not change from run to run, and a network that
    maps all pictures to one point earns nothing by it.

    >>> def seen(*crops):  # each crop a direction, a person and a camera
    ...     angles, people, cameras = np.array(crops).T
    ...     rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ...     return People(rows, people.astype(int), cameras.astype(int), np.ones(len(rows)))
    >>> ranking = rank_gallery(seen((0, 7, 1)), seen((0.1, 8, 2), (0.2, 7, 2), (0.3, 7, 3)))
    >>> ranking.ranked[0, :4].tolist()  # somebody else comes first, then two matches
    [0, 1, 2, -1]
    >>> ranking.rank(1), ranking.rank(2)
    (0.0, 1.0)
    >>> round(ranking.mean_average_precision, 3)  # (1/2 + 2/3) / 2
    0.583
    >>> round(ranking.mean_inverse_penalty, 3)  # two matches, the last at rank 3
    0.667

    Args:
        query: unit embeddings.
        gallery: unit embeddings of the same model.
        cross_camera: False keeps pictures of the query's camera, where cameras are not known.
        max_rank: R, length of the CMC curve and of the ranked lists.
    """
    rows = np.flatnonzero(gallery.labels != JUNK_IDENTITY)
    gallery = gallery.take(rows)
    firsts = np.zeros(max_rank)
    precisions = np.full(len(query.labels), np.nan)
    penalties = np.full(len(query.labels), np.nan)
    ranked = np.full((len(query.labels), max_rank), NOBODY, np.int64)
    for number, similarity in _similarities(query, gallery):
        same = gallery.labels == query.labels[number]
        matches = same & (gallery.cameras != query.cameras[number]) if cross_camera else same
        head = _head(similarity, matches, np.flatnonzero(matches | ~same), max_rank)
        ranked[number, : len(head)] = rows[head]
        ranks = _ranks(similarity[matches], similarity[~same])
        if len(ranks):
            firsts[ranks[0] - 1 :] += 1
            precisions[number] = np.mean(np.arange(1, len(ranks) + 1) / ranks)
            penalties[number] = len(ranks) / ranks[-1]
    valid = max(int(np.sum(~np.isnan(precisions))), 1)
    return Ranking(firsts / valid, precisions, penalties, ranked)


def _similarities(query: People, gallery: People) -> Iterator[tuple[int, FloatArray]]:
    """(number of the query, its similarity to everybody in the gallery), a chunk in memory."""
    for start in range(0, len(query.labels), _CHUNK):
        chunk = query.embeddings[start : start + _CHUNK] @ gallery.embeddings.T
        yield from enumerate(chunk, start)


def _ranks(matches: FloatArray, others: FloatArray) -> IntArray:
    """1-based ranks of the matches, rising; who is as similar goes before a match.

    >>> _ranks(np.array([0.5, 0.9]), others=np.array([0.5, 0.1])).tolist()
    [1, 3]
    """
    others = np.sort(others)
    ahead = len(others) - np.searchsorted(others, np.sort(matches)[::-1], side="left")
    return np.asarray(ahead + np.arange(1, len(matches) + 1), np.int64)


def _head(
    similarity: FloatArray, matches: BoolArray, candidates: IntArray, length: int
) -> IntArray:
    """The best `length` candidates, in the order that `_ranks` counts in.

    >>> similarity, matches = np.array([0.5, 0.9, 0.5]), np.array([True, False, False])
    >>> _head(similarity, matches, np.arange(3), length=3).tolist()
    [1, 2, 0]
    """
    if len(candidates) > length:
        last = np.partition(similarity[candidates], -length)[-length]
        candidates = candidates[similarity[candidates] >= last]
    order = np.lexsort((candidates, matches[candidates], -similarity[candidates]))
    return np.asarray(candidates[order[:length]], np.int64)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
