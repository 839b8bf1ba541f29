"""Export as a gate: the very file is scored on held-out people before anybody gets it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import (
    EmbeddingManifest,
    file_sha256,
    load_embedding_manifest,
    write_manifest,
)
from edge_reid.core.shipped import CHECKPOINT, EMBEDDING, shipped_model
from trainer.calibration import IntArray, stratified
from trainer.checkpoint import stopped_in
from trainer.crops import load_crops, read_image
from trainer.disk import whole_file
from trainer.draft import Comparison, Draft
from trainer.evaluate import (
    Report,
    Split,
    evaluate_file,
    evaluate_network,
    read_split,
    validation_split,
)
from trainer.finetune import fine_tune
from trainer.first_thresholds import with_thresholds
from trainer.latency import Latency, measure_latency
from trainer.mirroring import mirrored
from trainer.model import Run, load_run
from trainer.operators import Operators, read_operators
from trainer.quantize import Precision, Tune, to_tflite
from trainer.recipe import Recipe
from trainer.rounding import Ranges
from trainer.sources import RunData, load_data_of

ImageBatch: TypeAlias = npt.NDArray[np.uint8]

_TUNED_ON = 4096
"""Crops that fine-tuning draws from, at most."""
_ADVISED_MINUTES = 10
_FIRST_MINUTES = 5.0
_AS_DATA_ALLOW = "as the training data allow"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to export.

    Attributes:
        precision: of the file.
        budget_points: most mAP points (of 100) the file may lose against the float network, on
            any of the data sets it is scored on.
        calibration: how many training crops fix the int8 ranges.
        fine_tune_minutes: of training through int8 rounding; int8 only.
        fine_tune_most: where int8 loses more than the budget, it is fine-tuned anew for longer and
            longer, up to so many minutes.
        mirror: embed the mean of a crop and its mirror image, in twice the time.
        validate: further data sets, beside the held-out people.
        licence: of the weights, for the manifest; None: as what they were made from allows.
    """

    precision: Precision = "int8"
    budget_points: float = 0.5
    calibration: int = 256
    fine_tune_minutes: float = 0.0
    fine_tune_most: float = 0.0
    mirror: bool = False
    validate: tuple[Path, ...] = ()
    licence: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A file that passed, and what was learnt about it.

    Attributes:
        manifest: as written.
        thresholds: in words, where those of the manifest come from.
        unfinished: the stage in which the run was stopped; empty: it was not.
    """

    manifest: EmbeddingManifest
    thresholds: str
    unfinished: str
    latency: Latency
    operators: Operators


def export_run(run: Path, out: Path, options: ExportOptions) -> Exported:
    """Write `out` and its manifest, if the file is as good as the network it came from.

    Raises:
        TrainingError: the run is not usable, or the file loses more than the budget; then
            nothing is written, and an older export at `out` stays as it was.
    """
    if out.suffix != ".tflite":
        raise TrainingError(f"export: expected --out NAME.tflite, found {out}")
    job = _Job.of(run, out, options)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / out.name
        draft = job.first_good_draft(file)
        latency = measure_latency(file, read_image(job.data.validation.paths[0]))
    manifest = draft.manifest.model_copy(update={"metrics": draft.metrics()})
    recipe = job.loaded.recipe
    if unfinished := stopped_in(run, recipe):
        source = f"{manifest.source}; stopped in {unfinished}"
        manifest = manifest.model_copy(update={"source": source})
    # People it was trained on look less alike to it than strangers will.
    strangers = [it.exported for it in draft.results[0 if job.data.held_out else 1 :]]
    manifest, thresholds = with_thresholds(manifest, strangers, recipe)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as kept:
        kept.write(draft.content)
    write_manifest(manifest, out)
    operators = read_operators(draft.content)
    return Exported(manifest, thresholds, unfinished, latency, operators)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What is to be exported, and how its network scores."""

    run: Path
    out: Path
    options: ExportOptions
    loaded: Run
    data: RunData
    originals: tuple[Report, ...]

    @classmethod
    def of(cls, run: Path, out: Path, options: ExportOptions) -> _Job:
        loaded = load_run(run)
        data = load_data_of(run, loaded.recipe)
        splits = [validation_split(data), *(read_split(folder) for folder in options.validate)]
        _refuse_same_names(splits)
        network = mirrored(loaded.embedder) if options.mirror else loaded.embedder
        originals = tuple(evaluate_network(network, split) for split in splits)
        return cls(run, out, options, loaded, data, originals)

    def first_good_draft(self, path: Path) -> Draft:
        """Of int8 that loses too much, one that was fine-tuned for long enough."""
        crops = _training_crops(self.loaded, self.data, self.options.calibration)
        failure = None
        for minutes in _tries(self.options):
            if failure:
                print(f"{failure}; fine-tuning it through int8 rounding for {minutes:g} minutes")
            draft = self._draft(path, crops, minutes)
            if (failure := draft.failure(self.options.budget_points)) is None:
                return draft
        advice = _advice(self.run, self.out, self.options)
        raise TrainingError(f"{failure}; it is not kept: {advice}")

    def _draft(self, path: Path, crops: ImageBatch, minutes: float) -> Draft:
        content = to_tflite(
            self.loaded.embedder,
            self.options.precision,
            crops,
            _tuning(self.loaded, self.data, minutes),
            mirror=self.options.mirror,
        )
        path.write_bytes(content)
        manifest = _manifest(path, self.run, self.loaded, self.options)
        write_manifest(manifest, path)
        results = tuple(Comparison(evaluate_file(path, it.split), it) for it in self.originals)
        return Draft(content, manifest, results)


def _training_crops(loaded: Run, data: RunData, count: int) -> ImageBatch:
    chosen: IntArray = stratified(data.train.labels, count, loaded.recipe.seed, data.train.cameras)
    return load_crops(data.train.take(chosen).paths, *loaded.embedder.input_shape[1:3])


def _tries(options: ExportOptions) -> Iterator[float]:
    """Minutes of fine-tuning: as asked for, then twice as long until it is enough."""
    minutes = options.fine_tune_minutes
    yield minutes
    while options.precision == "int8" and minutes < options.fine_tune_most:
        minutes = min(max(2 * minutes, _FIRST_MINUTES), options.fine_tune_most)
        yield minutes


def _tuning(loaded: Run, data: RunData, minutes: float) -> Tune | None:
    if not minutes:
        return None
    crops = _training_crops(loaded, data, _TUNED_ON)

    def tune(folded: keras.Model, ranges: Ranges) -> Ranges:
        return fine_tune(
            folded,
            ranges,
            crops,
            minutes=minutes,
            changes=loaded.recipe.augment,
            seed=loaded.recipe.seed,
        )

    return tune


def _refuse_same_names(splits: Sequence[Split]) -> None:
    names = [split.name for split in splits]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TrainingError(
            f"export: expected data sets of different names, found {twice[0]} twice; the manifest "
            "tells scores apart by them: rename a folder"
        )


def _advice(run: Path, out: Path, options: ExportOptions) -> str:
    """What to try next, the likeliest first."""
    if options.precision != "int8":
        return f"try edge-reid export {run} --float32 --out {out}, or a larger --budget"
    longest = max(options.fine_tune_minutes, options.fine_tune_most)
    minutes = round(2 * longest) or _ADVISED_MINUTES
    return (
        f"try edge-reid export {run} --int8 --fine-tune {minutes} --out {out}, "
        "or --int16x8, --float16, or a larger --budget"
    )


def _manifest(model: Path, run: Path, loaded: Run, options: ExportOptions) -> EmbeddingManifest:
    """The manifest without measurements: enough for the device code to load the file."""
    recipe = loaded.recipe
    origin = _origin(recipe)
    height_px, width_px = loaded.embedder.input_shape[1:3]
    return EmbeddingManifest(
        name=model.stem,
        sha256=file_sha256(model),
        input_height_px=height_px,
        input_width_px=width_px,
        licence=options.licence or origin.licence,
        source=f"edge-reid train, run {run.name}: {recipe.backbone} α {recipe.alpha}, "
        f"{_learning(recipe)}"
        f"{', mean of a crop and its mirror image' if options.mirror else ''}"
        f"{origin.told}",
        dimension=recipe.dimension,
        impostor_quantiles=(),
        training_data=_each_once(
            *(f"{source.path.name}: {source.terms}" for source in recipe.sources),
            *(f"{entry.path.name}: {entry.terms}" for entry in recipe.unlabelled),
            *origin.training_data,
        ),
        quantisation=options.precision,
    )


def _learning(recipe: Recipe) -> str:
    """What the weights learnt from, in words."""
    teachers = " and ".join(teacher.path.stem for teacher in recipe.teachers)
    return f"distilled from {teachers}" if teachers else "metric learning"


@dataclass(frozen=True, slots=True)
class _Origin:
    """What weights bring along from those they started from."""

    told: str
    training_data: tuple[str, ...]
    licence: str


def _origin(recipe: Recipe) -> _Origin:
    start = recipe.start_from
    if start is None:
        return _Origin("", (), _AS_DATA_ALLOW)
    told = f", started from {start.name}"
    if start.name != CHECKPOINT:
        unknown = f"{start.name}, which it started from: data not known"
        return _Origin(told, (unknown,), f"{_AS_DATA_ALLOW}, and {start.name}")
    shipped = load_embedding_manifest(shipped_model(EMBEDDING))
    licence = f"{_AS_DATA_ALLOW}, and {start.name}: {shipped.licence}"
    return _Origin(told, shipped.training_data, licence)


def _each_once(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
