"""Verification, "are these two pictures of one person?": ROC and TAR@FAR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.data.datasets import JUNK_IDENTITY
from trainer.scoring.ranking_metrics import FloatArray, People

CurveArray = npt.NDArray[np.float64]

FARS = (1e-2, 1e-3, 1e-4)
"""False accept rates that are usually reported."""
ERRORS_BEHIND = 30
"""Comparisons that must lie beyond a rate: with 30 errors the true rate is within 30 % of the
measured one at 90 % confidence (rule of 30, Doddington et al., Speech Communication 31, 2000)."""
_CHUNK = 512
_CURVE_POINTS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """Receiver operating characteristic over falling thresholds.

    Attributes:
        fpr: (T,) float64, rising: share of impostor comparisons at or above the threshold (FAR).
        tpr: (T,) float64, rising: share of genuine comparisons at or above it (TAR); the DET curve
            is `1 - tpr` over `fpr`.
        thresholds: (T,) float64, falling cosine similarities.
    """

    fpr: CurveArray
    tpr: CurveArray
    thresholds: CurveArray


def pair_similarities(
    query: People, gallery: People, *, cross_camera: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Similarities of (impostor, genuine) pairs of pictures, two flat float32 arrays.

    Every query meets every gallery picture, junk left out; as in the ranking, pictures of the
    query's person under the query's camera are left out too. 3,368 × 19,732 pairs take 266 MB.

    >>> rows = np.array([[1, 0], [0.6, 0.8]], np.float32)
    >>> query = People(rows[:1], np.array([7]), np.array([1]), np.ones(1))
    >>> gallery = People(rows[[1, 1]], np.array([7, 8]), np.array([2, 1]), np.ones(2))
    >>> impostor, genuine = pair_similarities(query, gallery)
    >>> impostor, genuine
    (array([0.6], dtype=float32), array([0.6], dtype=float32))

    Args:
        query: unit embeddings.
        gallery: unit embeddings of the same model.
        cross_camera: False keeps pictures of the query's camera, where cameras are not known.
    """
    query = query.take(query.labels >= 0)
    gallery = gallery.take(gallery.labels != JUNK_IDENTITY)
    impostor = np.empty(_impostor_pairs(query, gallery), np.float32)
    genuine: list[FloatArray] = []
    filled = 0
    for start in range(0, len(query.labels), _CHUNK):
        part = query.take(np.arange(start, min(start + _CHUNK, len(query.labels))))
        similarity = part.embeddings @ gallery.embeddings.T
        same = part.labels[:, None] == gallery.labels
        left_out = part.cameras[:, None] == gallery.cameras if cross_camera else ~same
        genuine.append(similarity[same & ~left_out])
        others = similarity[~same]
        impostor[filled : filled + len(others)] = others
        filled += len(others)
    return impostor, np.concatenate(genuine)


def roc(impostor: FloatArray, genuine: FloatArray, points: int = _CURVE_POINTS) -> Roc:
    """The curve at (at most) so many thresholds, denser towards small false accept rates.

    Thresholds are impostor similarities, from the largest to the smallest, evenly spread in the
    logarithm of how many reach them; ties count as reaching.

    >>> curve = roc(impostor=np.array([0.1, 0.5]), genuine=np.array([0.3, 0.9]))
    >>> curve.fpr.tolist(), curve.tpr.tolist(), curve.thresholds.tolist()
    ([0.5, 1.0], [0.5, 1.0], [0.5, 0.1])

    Args:
        impostor: (I,) similarities of different people.
        genuine: (G,) similarities of one person.
        points: T at most.

    Raises:
        TrainingError: there is no impostor or no genuine comparison.
    """
    _check(impostor, genuine)
    impostor, genuine = np.sort(impostor), np.sort(genuine)
    positions = np.unique(np.geomspace(1, len(impostor), points).round().astype(np.int64))
    thresholds = np.unique(impostor[-positions])[::-1]
    return Roc(
        _share_reaching(impostor, thresholds),
        _share_reaching(genuine, thresholds),
        thresholds.astype(np.float64),
    )


def tar_at_far(impostor: FloatArray, genuine: FloatArray, far: float) -> float:
    """Share of genuine comparisons accepted where at most the share `far` of impostors is.

    The threshold is the smallest that keeps the rate: just above the first impostor too many.

    >>> impostor, genuine = np.linspace(0, 0.999, 3000), np.array([0.5, 0.995])
    >>> tar_at_far(impostor, genuine, far=0.01)
    0.5

    Raises:
        TrainingError: fewer than `ERRORS_BEHIND` impostor comparisons would lie beyond.
    """
    return tars_at_fars(impostor, genuine, (far,))[far]


def tars_at_fars(
    impostor: FloatArray, genuine: FloatArray, fars: Sequence[float]
) -> dict[float, float]:
    """`tar_at_far` of several rates, in one go through the comparisons.

    >>> tars_at_fars(np.linspace(0, 0.999, 3000), np.array([0.95, 0.995]), fars=(0.1, 0.01))
    {0.1: 1.0, 0.01: 0.5}

    Raises:
        TrainingError: as `tar_at_far`.
    """
    _check(impostor, genuine)
    for far in fars:
        if not supports(len(impostor), far):
            raise TrainingError(
                f"TAR@FAR {far:g}: expected at least {math.ceil(ERRORS_BEHIND / far):,} impostor "
                f"comparisons, got {len(impostor):,}; use more pictures or a larger rate"
            )
    positions = [len(impostor) - 1 - math.floor(round(far * len(impostor), 6)) for far in fars]
    first_refused = np.partition(impostor, positions)[positions] if positions else ()
    return {
        far: float(np.mean(genuine > similarity))
        for far, similarity in zip(fars, first_refused, strict=True)
    }


def supports(comparisons: int, rate: float) -> bool:
    """Whether so many comparisons can show an error rate: `ERRORS_BEHIND` errors are expected.

    >>> supports(3000, 0.01), supports(2999, 0.01)
    (True, False)
    """
    return round(comparisons * rate, 6) >= ERRORS_BEHIND


def _share_reaching(rising: FloatArray, thresholds: FloatArray) -> CurveArray:
    """Share of the values, which rise, at or above each threshold.

    >>> _share_reaching(np.array([0.1, 0.5]), np.array([0.5, 0.6])).tolist()
    [0.5, 0.0]
    """
    below = np.searchsorted(rising, thresholds, side="left")
    return np.asarray(1 - below / len(rising), np.float64)


def _impostor_pairs(query: People, gallery: People) -> int:
    """Pairs of different people."""
    labels, counts = np.unique(gallery.labels, return_counts=True)
    own = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return sum(len(gallery.labels) - own.get(label, 0) for label in query.labels.tolist())


def _check(impostor: FloatArray, genuine: FloatArray) -> None:
    if not (len(impostor) and len(genuine)):
        raise TrainingError(
            f"verification: expected impostor and genuine comparisons, got {len(impostor)} and "
            f"{len(genuine)}; the data need several people and several pictures of each"
        )
