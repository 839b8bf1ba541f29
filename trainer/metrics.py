"""Ranking metrics of re-identification: the Market-1501 protocol as Torchreid applies it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_CHUNK = 256
"""Queries ranked at a time: 256 × 19,732 float32 and its int64 order are about 60 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Embeddings with who and where: unit rows (N, D) float32, labels (N,), cameras (N,) int64."""

    embeddings: FloatArray
    labels: IntArray
    cameras: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Result of ranking a gallery for every query.

    Attributes:
        cmc: (R,) float64, share of valid queries whose first match is at rank k+1 or better.
        mean_average_precision: mAP in [0, 1].
        mean_inverse_penalty: mINP in [0, 1] (Ye et al., TPAMI 2021).
        skipped: indices of queries without any valid match; they count nowhere.
        queries: number of valid queries.
    """

    cmc: npt.NDArray[np.float64]
    mean_average_precision: float
    mean_inverse_penalty: float
    skipped: tuple[int, ...]
    queries: int

    def rank(self, k: int) -> float:
        """CMC at rank k (1-based)."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])


def rank_gallery(
    query: People, gallery: People, *, cross_camera: bool = True, max_rank: int = 50
) -> Ranking:
    """Rank the gallery for each query by cosine similarity.

    As in Torchreid's `eval_market1501`: gallery pictures of the query's identity *and* camera are
    left out, distractors (a label no query has) stay, queries left without a match are skipped.
    Junk (label -1) is left out of the gallery altogether, as the data set's own code does.
    Average precision is the mean of the precision at each match.
    """
    keep = gallery.labels >= 0
    gallery = People(gallery.embeddings[keep], gallery.labels[keep], gallery.cameras[keep])
    hits = np.zeros(max_rank)
    precisions: list[float] = []
    penalties: list[float] = []
    skipped: list[int] = []
    for start in range(0, len(query.labels), _CHUNK):
        similarity = query.embeddings[start : start + _CHUNK] @ gallery.embeddings.T
        for row, order in enumerate(np.argsort(-similarity, axis=1, kind="stable")):
            matches = _matches(query, start + row, gallery, order, cross_camera)
            ranks = np.flatnonzero(matches)
            if not len(ranks):
                skipped.append(start + row)
                continue
            hits[min(ranks[0], max_rank) :] += 1
            found = np.arange(1, len(ranks) + 1)
            precisions.append(float(np.mean(found / (ranks + 1))))
            penalties.append(len(ranks) / (ranks[-1] + 1))
    valid = len(precisions)
    return Ranking(
        hits / max(valid, 1),
        float(np.mean(precisions)) if valid else float("nan"),
        float(np.mean(penalties)) if valid else float("nan"),
        tuple(skipped),
        valid,
    )


def _matches(
    query: People, index: int, gallery: People, order: IntArray, cross_camera: bool
) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = gallery.labels[order] == query.labels[index]
    if not cross_camera:
        return same
    same_camera: npt.NDArray[np.bool_] = gallery.cameras[order] == query.cameras[index]
    return np.asarray(same[~(same & same_camera)], np.bool_)
