"""Who is it? From similarities to a decision, with a threshold that comes from data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edge_reid.core.config import DecideSettings
from edge_reid.core.errors import ModelError, ModelMismatchError
from edge_reid.core.types import (
    Decision,
    Embedding,
    Known,
    Uncertain,
    Unknown,
    Vector,
)
from edge_reid.gallery.index import Index

Quantiles = Sequence[tuple[float, float]]
"""(p, similarity): the share p of impostor comparisons that reach this similarity; p falls."""

_DECADE = math.log(10.0)
_NO_DIRECTION = 1e-9
"""A mean so short is rounding, not a direction."""


def threshold_for(impostor_quantiles: Quantiles, target_fpir: float, comparisons: int) -> float:
    """The similarity at which a stranger is taken for somebody at the accepted rate.

    A stranger is compared with every template; comparisons taken as independent,

        FPIR = 1 − (1 − p)^comparisons    so    p = 1 − (1 − FPIR)^(1 / comparisons)

    (Grother & Phillips, "Models of Large Population Recognition Performance", CVPR 2004). The
    threshold is the impostor similarity reached with probability p, linear in log p between the
    manifest's quantiles. Outside them the choice errs towards "unknown":

    * p above the largest of the table: the similarity of that largest p.
    * p below the smallest: on along a straight line in log p with the steepest slope of the
      table's last decade, at most 1. Similarities are bounded, so their true tail is flatter.

    Counting templates, not identities, is what keeps the promise: with 20 people of 3 templates
    each, tracks of 5 crops of three public data sets, Intel's retail-0277 as the model and a target
    of 1 %, strangers were taken for somebody in 0.8 to 1.7 % of tracks; counting identities, in 1.9
    to 3.9 %.

    Args:
        impostor_quantiles: p falling in (0, 1], similarity never falling.
        target_fpir: accepted false-positive identification rate, in (0, 1).
        comparisons: templates in the gallery; an empty one counts as one.

    Raises:
        ModelError: the table is not such a table.
    """
    if not 0.0 < target_fpir < 1.0:
        raise ValueError(f"expected a target_fpir between 0 and 1, got {target_fpir}")
    log_ps, similarities = _checked(impostor_quantiles)
    log_p = math.log(-math.expm1(math.log1p(-target_fpir) / max(comparisons, 1)))
    if log_p < log_ps[-1]:
        beyond = similarities[-1] + (log_ps[-1] - log_p) * _tail_slope(log_ps, similarities)
        return min(beyond, 1.0)
    return float(np.interp(log_p, log_ps[::-1], similarities[::-1]))


def decide(
    embeddings: Sequence[Embedding],
    index: Index,
    *,
    threshold: float,
    settings: DecideSettings,
    final: bool = False,
) -> Decision:
    """Who the embeddings of one track show.

    Their mean, weighted by quality and brought back to unit norm, is compared with the gallery.

    * Known: enough crops, similarity ≥ threshold, and margin ≥ `min_margin` over the next identity.
    * Unknown: enough crops, and similarity < threshold (or nobody is enrolled).
    * Uncertain: anything else. It names a candidate only at or above the threshold.

    Args:
        embeddings: of the best crops of the track.
        index: the gallery in force.
        threshold: least cosine similarity, of `threshold_for` or fixed by the operator.
        settings: `min_crops` are enough crops.
        final: no more crops will come, so what there is, one or more, is enough.

    Raises:
        ModelMismatchError: an embedding is of another model than the gallery.
    """
    crops = len(embeddings)
    enough = crops >= (1 if final else settings.min_crops)
    vector = mean_vector(embeddings, index.model_id) if embeddings else None
    if vector is None:
        return Uncertain(None, threshold, None, crops)
    nearest = index.search(vector, k=2)
    if not nearest or nearest[0].similarity < threshold:
        similarity = nearest[0].similarity if nearest else None
        if enough:
            return Unknown(similarity, threshold, crops)
        return Uncertain(None, threshold, None, crops)
    best = nearest[0]
    margin = best.similarity - nearest[1].similarity if len(nearest) > 1 else None
    if enough and (margin is None or margin >= settings.min_margin):
        return Known(best.identity, best.similarity, threshold, margin, crops)
    return Uncertain(best, threshold, margin, crops)


def mean_vector(embeddings: Sequence[Embedding], model_id: str) -> Vector | None:
    """Σ qᵢvᵢ / ‖Σ qᵢvᵢ‖, (D,) float32; None when the sum vanishes and so points nowhere.

    Qualities that are all zero count as equal.
    """
    for embedding in embeddings:
        if embedding.model_id != model_id:
            raise ModelMismatchError(
                f"expected embeddings of the gallery's model {model_id}, got one of "
                f"{embedding.model_id}; use that model, or enroll the people again"
            )
    vectors = np.stack([embedding.vector for embedding in embeddings]).astype(np.float64)
    qualities = np.array([embedding.quality for embedding in embeddings])
    total = (qualities if qualities.any() else np.ones_like(qualities)) @ vectors
    norm = np.linalg.norm(total)
    return None if norm < _NO_DIRECTION else np.asarray(total / norm, np.float32)


def _checked(quantiles: Quantiles) -> tuple[list[float], list[float]]:
    ps, similarities = [p for p, _ in quantiles], [similarity for _, similarity in quantiles]
    in_range = all(0.0 < p <= 1.0 and -1.0 <= similarity <= 1.0 for p, similarity in quantiles)
    falls = all(after < before for before, after in pairwise(ps))
    rises = all(before <= after for before, after in pairwise(similarities))
    if not (ps and in_range and falls and rises):
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
