"""An export's manifest before anything is measured: what it is, from what, on whose terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.manifest import EmbeddingManifest, file_sha256, load_embedding_manifest
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
    origin = _origin(recipe)
    height_px, width_px = loaded.embedder.input_shape[1:3]
    return EmbeddingManifest(
        name=model.stem,
        sha256=file_sha256(model),
        input_height_px=height_px,
        input_width_px=width_px,
        licence=licence or origin.licence,
        source=f"edge-reid train, run {run.name}: {recipe.backbone} α {recipe.alpha}, "
        f"{_learning(recipe)}"
        f"{', mean of a crop and its mirror image' if mirror else ''}"
        f"{origin.words}",
        dimension=recipe.dimension,
        impostor_quantiles=(),
        training_data=_each_once(
            *(f"{entry.path.name}: {entry.terms}" for entry in recipe.trained_on),
            *origin.training_data,
        ),
        training_pictures=PictureSketch.of(trained_on).joined(origin.pictures).text,
        grey_world=recipe.grey_world,
        quantisation=precision,
    )


def _learning(recipe: Recipe) -> str:
    """What the weights learnt from, in words."""
    teachers = " and ".join(teacher.path.stem for teacher in recipe.teachers)
    return f"distilled from {teachers}" if teachers else "metric learning"


@dataclass(frozen=True, slots=True)
class _Origin:
    """What weights bring along from those they started from."""

    words: str
    training_data: tuple[str, ...]
    licence: str
    pictures: PictureSketch


def _origin(recipe: Recipe) -> _Origin:
    start = recipe.start_from
    if start is None:
        return _Origin("", (), _AS_DATA_ALLOW, PictureSketch())
    words = f", started from {start.name}"
    if recipe.shipped_start is None:
        unknown = f"{start.name}, which it started from: data not known"
        return _Origin(words, (unknown,), f"{_AS_DATA_ALLOW}, and {start.name}", PictureSketch())
    shipped = load_embedding_manifest(recipe.shipped_start)
    licence = f"{_AS_DATA_ALLOW}, and {start.name}: {shipped.licence}"
    pictures = PictureSketch.from_text(shipped.training_pictures)
    return _Origin(words, shipped.training_data, licence, pictures)


def _each_once(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
