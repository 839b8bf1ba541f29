"""Export as a gate: the very file is scored on held-out people before anybody gets it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import EmbeddingManifest, file_sha256, write_manifest
from trainer.calibration import ordinary_crops
from trainer.crops import load_crops
from trainer.evaluate import (
    Report,
    Split,
    evaluate_file,
    keras_embedder,
    read_split,
    score,
    split_people,
)
from trainer.model import Run, load_run
from trainer.quantize import Precision, stratified, to_tflite, write_whole
from trainer.sources import RunData, load_run_data
from trainer.thresholds import decision_similarities, genuine_quantiles, impostor_quantiles

ImageBatch: TypeAlias = npt.NDArray[np.uint8]

_POINTS = 100.0


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to export.

    Attributes:
        precision: of the file.
        budget_points: most mAP points (of 100) the file may lose against the float network, on
            any of the data sets it is scored on.
        calibration: how many training crops fix the int8 ranges.
        validate: further data sets, beside the held-out people.
        licence: of the weights, for the manifest.
    """

    precision: Precision = "int8"
    budget_points: float = 0.5
    calibration: int = 512
    validate: tuple[Path, ...] = ()
    licence: str = "as the training data allow"


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The exported file beside the float network on one data set."""

    exported: Report
    original: Report

    def lost_points(self) -> float:
        """Points of mAP (of 100) that the file is worse by; negative when it is better."""
        return _POINTS * (
            self.original.ranking.mean_average_precision
            - self.exported.ranking.mean_average_precision
        )

    def metrics(self) -> Iterator[tuple[str, float]]:
        """What goes into the manifest, named after the data set."""
        name = self.exported.split.name
        for label, report in (("", self.exported), ("_float", self.original)):
            yield f"{name}_rank1{label}", round(report.ranking.rank(1), 4)
            yield f"{name}_map{label}", round(report.ranking.mean_average_precision, 4)
        cosine = np.sum(self.exported.embeddings * self.original.embeddings, axis=1)
        yield f"{name}_cosine_mean", round(float(cosine.mean()), 4)
        yield f"{name}_cosine_worst", round(float(cosine.min()), 4)
        yield f"{name}_queries", self.exported.ranking.queries
        yield f"{name}_skipped_queries", len(self.exported.ranking.skipped)


def export_run(run: Path, out: Path, options: ExportOptions) -> EmbeddingManifest:
    """Write `out` and its manifest, if the file is as good as the network it came from.

    Raises:
        TrainingError: the run is not usable, or the file loses more than the budget; then
            nothing is written, and an older export at `out` stays as it was.
    """
    if out.suffix != ".tflite":
        raise TrainingError(f"export: expected --out NAME.tflite, found {out}")
    loaded = load_run(run)
    data = load_run_data(loaded.recipe)
    splits = [
        split_people(data.validation, "held_out" if data.held_out else "training_people"),
        *(read_split(folder) for folder in options.validate),
    ]
    content = to_tflite(loaded.embedder, options.precision, _calibration(loaded, data, options))
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / out.name
        draft.write_bytes(content)
        manifest = _manifest(draft, run, loaded, options)
        write_manifest(manifest, draft)
        results = [_compare(draft, loaded, split) for split in splits]
    _refuse_if_worse(results, options)
    manifest = _with_measurements(manifest, results)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(content, out)
    write_manifest(manifest, out)
    return manifest


def _calibration(loaded: Run, data: RunData, options: ExportOptions) -> ImageBatch:
    chosen = stratified(data.train.labels, options.calibration, loaded.recipe.seed)
    height_px, width_px = loaded.embedder.input_shape[1:3]
    crops = load_crops(data.train.take(chosen).paths, height_px, width_px)
    return ordinary_crops(loaded.embedder, crops)


def _compare(model: Path, loaded: Run, split: Split) -> Comparison:
    return Comparison(
        exported=evaluate_file(model, split),
        original=score(split, keras_embedder(loaded.embedder)(split.data.paths)),
    )


def _refuse_if_worse(results: list[Comparison], options: ExportOptions) -> None:
    for result in results:
        if result.lost_points() > options.budget_points:
            raise TrainingError(
                f"export: expected at most {options.budget_points} mAP points lost, the "
                f"{options.precision} file loses {result.lost_points():.2f} on "
                f"{result.exported.split.name}; it is not kept: try --calibration 2000, "
                "--float16, or a larger --budget"
            )


def _manifest(model: Path, run: Path, loaded: Run, options: ExportOptions) -> EmbeddingManifest:
    """The manifest without measurements: enough for the device code to load the file."""
    recipe = loaded.recipe
    height_px, width_px = loaded.embedder.input_shape[1:3]
    return EmbeddingManifest(
        name=model.stem,
        sha256=file_sha256(model),
        input_height_px=height_px,
        input_width_px=width_px,
        licence=options.licence,
        source=f"edge-reid train, run {run.name}: MobileNetV2 α {recipe.alpha}, "
        f"{'distilled from ' + recipe.teacher.stem if recipe.teacher else 'metric learning'}",
        dimension=recipe.dimension,
        impostor_quantiles=(),
        training_data=tuple(f"{source.path.name}: {source.terms}" for source in recipe.sources),
        quantisation=options.precision,
    )


def _with_measurements(manifest: EmbeddingManifest, results: list[Comparison]) -> EmbeddingManifest:
    pairs = [decision_similarities(r.exported.split.data, r.exported.embeddings) for r in results]
    return manifest.model_copy(
        update={
            "impostor_quantiles": impostor_quantiles([impostor for impostor, _ in pairs]),
            "genuine_quantiles": genuine_quantiles([genuine for _, genuine in pairs]),
            "metrics": dict(item for result in results for item in result.metrics()),
        }
    )
