"""Who is it? From similarities to a decision, with a threshold that comes from data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.types import Decision, Embedding, Known, Uncertain, Unknown
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.index import Index


def decide(
    embeddings: Sequence[Embedding],
    index: Index,
    *,
    threshold: float,
    settings: DecideSettings,
    final: bool = False,
    without: Collection[str] = frozenset(),
) -> Decision:
    """Decide who the embeddings of one track show.

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
        without: identities that it is known not to be; they count as not enrolled.

    Raises:
        ModelMismatchError: an embedding is of another model than the gallery.
    """
    crops = len(embeddings)
    enough = crops >= (1 if final else settings.min_crops)
    vector = mean_vector(embeddings, index.model_id) if embeddings else None
    if vector is None:
        return Uncertain(None, threshold, None, crops)
    searched = index.search(vector, k=2 + len(without))
    nearest = [candidate for candidate in searched if candidate.identity not in without]
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
