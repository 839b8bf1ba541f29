"""An export's manifest before anything is measured: what it is, from what, on whose terms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_reid.core.manifest import EmbeddingManifest, file_sha256, load_embedding_manifest
from trainer.export.ancestors import ancestors, data_with_terms
from trainer.export.quantize import Precision
from trainer.network.model import Run
from trainer.recipe.recipe import Recipe
from trainer.thresholds.picture_sketch import PictureSketch

_AS_DATA_ALLOW = "as the training data allow"


def bare_manifest(
    model: Path,
    run: Path,
    loaded: Run,
    trained_on: Sequence[Path],
    *,
    precision: Precision,
    mirror: bool,
    licence: str | None,
) -> EmbeddingManifest:
    """A manifest with which the device's code can load the file.

    Args:
        model: the file.
        run: that it comes from.
        loaded: the same.
        trained_on: the run's training pictures.
        precision: as in `ExportOptions`, like the two below.
        mirror: see there.
        licence: see there.
    """
    recipe = loaded.recipe
    start = load_embedding_manifest(recipe.shipped_start) if recipe.shipped_start else None
    lineage = tuple(ancestors(recipe))
    licences = (ancestor.licence for ancestor in lineage if ancestor.licence is not None)
    pictures = PictureSketch.from_text(start.training_pictures if start else "")
    began = f", started from {recipe.start_from.name}" if recipe.start_from else ""
    height_px, width_px = loaded.embedder.input_shape[1:3]
    return EmbeddingManifest(
        name=model.stem,
        sha256=file_sha256(model),
        input_height_px=height_px,
        input_width_px=width_px,
        licence=licence or ", and ".join(_each_once(_AS_DATA_ALLOW, *licences)),
        source=f"edge-reid train, run {run.name}: {recipe.backbone} α {recipe.alpha}, "
        f"{_learning(recipe)}"
        f"{', mean of a crop and its mirror image' if mirror else ''}"
        f"{began}",
        dimension=recipe.dimension,
        impostor_quantiles=(),
        training_data=_each_once(
            *data_with_terms(recipe),
            *(data for ancestor in lineage for data in ancestor.training_data),
        ),
        training_pictures=PictureSketch.of(trained_on).joined(pictures).text,
        grey_world=recipe.grey_world,
        quantisation=precision,
    )


def _learning(recipe: Recipe) -> str:
    """What the weights learnt from, in words."""
    teachers = " and ".join(teacher.path.stem for teacher in recipe.teachers)
    return f"distilled from {teachers}" if teachers else "metric learning"


def _each_once(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
