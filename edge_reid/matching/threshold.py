"""The similarity that is enough: from what was measured, and the false alarms one accepts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edge_reid.core.errors import ModelError

Quantiles = Sequence[tuple[float, float]]
"""(p, similarity): the share p of impostor comparisons that reach this similarity; p falls."""

_DECADE = math.log(10.0)
BEYOND_MEASURED = "lies beyond what was measured for this model, so it errs towards unknown"
"""What every command says of a threshold that is not `is_measured`, …"""
BEYOND_MEASURED_REMEDY = (
    "a larger FPIR (--target-fpir, decide.target_fpir) gives more names; a model of your own is "
    "measured further by edge-reid calibrate with data of more people"
)
"""… and what there is to do."""


def threshold_for(impostor_quantiles: Quantiles, target_fpir: float, comparisons: int) -> float:
    """The similarity at which an impostor is taken for somebody at the accepted rate.

    >>> measured = ((0.1, 0.3), (0.01, 0.5))
    >>> round(threshold_for(measured, target_fpir=0.01, comparisons=1), 3)
    0.5
    >>> round(threshold_for(measured, target_fpir=0.01, comparisons=10), 3)  # p about 0.001
    0.7

    An impostor is compared with every template; comparisons taken as independent,

        FPIR = 1 − (1 − p)^comparisons    so    p = 1 − (1 − FPIR)^(1 / comparisons)

    (Grother & Phillips, "Models of Large Population Recognition Performance", CVPR 2004). The
    threshold is the impostor similarity reached with probability p, linear in log p between the
    manifest's quantiles. Outside them the choice errs towards "unknown":

    * p above the largest of the table: the similarity of that largest p.
    * p below the smallest: on along a straight line in log p with the steepest slope of the
      table's last decade, at most 1. That is an exponential tail; similarities end at 1, so theirs
      falls faster (a generalised Pareto tail with an end has a negative shape: Pickands, Annals of
      Statistics 3, 1975). `is_measured` says whether this was needed.

    Where the table is of comparisons with single templates, counting templates, not identities, is
    what keeps the promise: with 20 people of 3 templates each, tracks of 5 crops of three public
    data sets, Intel's retail-0277 as the model and a target of 1 %, impostors were taken for
    somebody in 0.8 to 1.7 % of tracks; counting identities, in 1.9 to 3.9 %. `GalleryThresholds`
    counts people, by tables of people.

    Args:
        impostor_quantiles: p falling in (0, 1], similarity never falling.
        target_fpir: accepted false-positive identification rate, in (0, 1).
        comparisons: templates in the gallery, or people; an empty one counts as one.

    Raises:
        ModelError: the table is not such a table.
    """
    log_ps, similarities = _checked(impostor_quantiles)
    log_p = math.log(accepted_share(target_fpir, comparisons))
    if log_p < log_ps[-1]:
        beyond = similarities[-1] + (log_ps[-1] - log_p) * _tail_slope(log_ps, similarities)
        return min(beyond, 1.0)
    return float(np.interp(log_p, log_ps[::-1], similarities[::-1]))


def is_measured(impostor_quantiles: Quantiles, target_fpir: float, comparisons: int) -> bool:
    """Whether `threshold_for` stays within the table; False when it has to go on beyond it.

    >>> measured = ((0.1, 0.3), (0.01, 0.5))
    >>> is_measured(measured, 0.01, comparisons=1), is_measured(measured, 0.01, comparisons=10)
    (True, False)

    Raises:
        ModelError: the table is not such a table.
    """
    _checked(impostor_quantiles)
    return accepted_share(target_fpir, comparisons) >= impostor_quantiles[-1][0]


def share_reaching(impostor_quantiles: Quantiles, similarity: float) -> float:
    """The share of impostor comparisons that reach a similarity: `threshold_for` the other way.

    >>> measured = ((0.1, 0.3), (0.01, 0.5))
    >>> [round(share_reaching(measured, at), 4) for at in (0.2, 0.3, 0.4, 0.5, 0.7)]
    [0.1, 0.1, 0.0316, 0.01, 0.001]

    Raises:
        ModelError: the table is not such a table.
    """
    log_ps, similarities = _checked(impostor_quantiles)
    if similarity > similarities[-1]:
        slope = _tail_slope(log_ps, similarities)
        beyond = (similarity - similarities[-1]) / slope if slope else math.inf
        return math.exp(log_ps[-1] - beyond)
    return math.exp(float(np.interp(similarity, similarities, log_ps)))


def accepted_share(target_fpir: float, comparisons: int) -> float:
    """Share of impostor comparisons, in (0, 1), that may be accepted when a probe makes so many.

    >>> round(accepted_share(0.01, comparisons=1), 6), round(accepted_share(0.01, 10), 6)
    (0.01, 0.001005)

    Raises:
        ValueError: the rate is not between 0 and 1.
    """
    if not 0.0 < target_fpir < 1.0:
        raise ValueError(f"expected a target_fpir between 0 and 1, got {target_fpir}")
    return -math.expm1(math.log1p(-target_fpir) / max(comparisons, 1))


def _checked(quantiles: Quantiles) -> tuple[list[float], list[float]]:
    if not quantiles:
        raise ModelError(
            "model manifest: expected impostor_quantiles to take a threshold from, got none; "
            "measure them: edge-reid calibrate MODEL DATA, with people it was not trained on"
        )
    ps, similarities = [p for p, _ in quantiles], [similarity for _, similarity in quantiles]
    in_range = all(0.0 < p <= 1.0 and -1.0 <= similarity <= 1.0 for p, similarity in quantiles)
    falls = all(after < before for before, after in pairwise(ps))
    rises = all(before <= after for before, after in pairwise(similarities))
    if not (in_range and falls and rises):
        raise ModelError(
            "model manifest: expected impostor_quantiles (p, similarity) with falling p and rising "
            f"similarity, got {len(ps)} that are not so; export the model again"
        )
    return [math.log(p) for p in ps], similarities


def _tail_slope(log_ps: Sequence[float], similarities: Sequence[float]) -> float:
    points = list(zip(log_ps, similarities, strict=True))
    slopes = (
        (s_after - s_before) / (log_before - log_after)
        for (log_before, s_before), (log_after, s_after) in pairwise(points)
        if log_after < log_ps[-1] + _DECADE
    )
    return max(slopes, default=math.inf)  # a table of one point says nothing of its tail
