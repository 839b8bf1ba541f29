"""The thresholds that an exported model begins with; `edge-reid calibrate` measures better ones."""

from __future__ import annotations

from collections.abc import Sequence

from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.core.shipped import CHECKPOINT, EMBEDDING, shipped_model
from trainer.bars import waiting
from trainer.calibrate import Embedded, calibrate
from trainer.evaluate import Report
from trainer.recipe import Recipe

_BETTER = "edge-reid calibrate, with people it was not trained on, measures its own"


def with_thresholds(
    manifest: EmbeddingManifest, strangers: Sequence[Report], recipe: Recipe
) -> tuple[EmbeddingManifest, str]:
    """The manifest with a threshold table, and in words where that comes from.

    It is measured where the strangers are enough. A fine-tune of the shipped network borrows that
    one's table otherwise, which comes far nearer than people it was trained on: after fine-tuning
    on 6 of them, 1 % of strangers reached 0.53 and 0.65 on two data sets; the shipped table says
    0.57, the people trained on said 0.18. Any other network gets none, and the box refuses it.

    Args:
        manifest: of the exported file.
        strangers: the file's scores on people that it was not trained on.
        recipe: of its run.
    """
    if not strangers:
        return _borrowed(manifest, recipe, "nobody was held out")
    parts = [Embedded(r.split.name, r.split.data, r.embeddings) for r in strangers]
    try:
        with waiting("measuring thresholds"):
            measured = calibrate(parts)
    except TrainingError as error:
        return _borrowed(manifest, recipe, str(error))
    return measured.written_into(manifest), f"measured on {measured.people} people held out"


def _borrowed(
    manifest: EmbeddingManifest, recipe: Recipe, reason: str
) -> tuple[EmbeddingManifest, str]:
    if recipe.start_from is None or recipe.start_from.name != CHECKPOINT:
        return manifest, f"none, the box will refuse this model: {reason}; {_BETTER}"
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    borrowed = {
        "impostor_quantiles": shipped.impostor_quantiles,
        "genuine_quantiles": shipped.genuine_quantiles,
        "source": f"{manifest.source}; thresholds of {shipped.name}, which it started from",
    }
    said = f"those of {shipped.name}, which it started from ({reason}); {_BETTER}"
    return manifest.model_copy(update=borrowed), said
