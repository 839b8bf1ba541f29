"""Export as a gate: the very file is scored on held-out people before anybody gets it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from edge_reid.core.files import check_replaceable, whole_file
from edge_reid.core.manifest import EmbeddingManifest, manifest_path, write_manifest
from edge_reid.vision.grey_world import balanced_batch
from edge_reid.vision.model_file import is_tflite
from trainer.data.decoded_crops import load_crops, read_image
from trainer.data.run_data import RunData, load_data_of
from trainer.export.candidate import Comparison, ExportCandidate
from trainer.export.export_manifest import bare_manifest
from trainer.export.latency import Latency, measure_latency
from trainer.export.operation_rounding import to_rounded_file, with_limits
from trainer.export.operators import Operators, read_operators
from trainer.export.qat import fine_tune
from trainer.export.quant_ranges import stratified
from trainer.export.quantize import Precision, Tune, to_tflite
from trainer.network.fake_quant import Ranges
from trainer.network.mirroring import mirrored
from trainer.network.model import Run, load_run
from trainer.run.checkpoint import stopped_in
from trainer.scoring.evaluate import (
    Report,
    Split,
    evaluate_file,
    evaluate_network,
    read_split,
    validation_split,
)
from trainer.thresholds.export_thresholds import missed_beside_start, with_thresholds
from trainer.thresholds.missed_people import MissedPeople, more_missed

ImageBatch: TypeAlias = npt.NDArray[np.uint8]

_TUNED_ON = 4096
"""Crops that fine-tuning draws from, at most."""
_ADVISED_MINUTES = 10
_FIRST_MINUTES = 5.0
_MOST_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to export.

    Attributes:
        precision: of the file.
        budget_points: most mAP points (of 100) the file may lose against the float network, on
            any of the data sets it is scored on; None: as `fair_budget` says.
        calibration: how many training crops fix the int8 ranges.
        fine_tune_minutes: of training through int8 rounding; int8 only.
        fine_tune_most: where int8 loses more than the budget, it is fine-tuned anew for longer and
            longer, up to so many minutes; None: 10, but an osnet is not.
        mirror: embed the mean of a crop and its mirror image, in twice the time.
        allow_fewer: keep a fine-tune even if a device names fewer people with it than before.
        validate: further data sets, beside the held-out people.
        licence: of the weights, for the manifest; None: as what they were made from allows.
    """

    precision: Precision = "int8"
    budget_points: float | None = None
    calibration: int = 256
    fine_tune_minutes: float = 0.0
    fine_tune_most: float | None = 0.0
    mirror: bool = False
    allow_fewer: bool = False
    validate: tuple[Path, ...] = ()
    licence: str | None = None

    @property
    def most_minutes(self) -> float:
        """Of fine-tuning, where int8 loses too much."""
        return _MOST_MINUTES if self.fine_tune_most is None else self.fine_tune_most


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A file that passed, and what was learnt about it.

    Attributes:
        manifest: as written.
        thresholds: in words, where those of the manifest come from.
        missed: people missed, beside the model that a fine-tune started from.
        unfinished: the stage in which the run was stopped; empty: it was not.
    """

    manifest: EmbeddingManifest
    thresholds: str
    missed: tuple[MissedPeople, ...]
    unfinished: str
    latency: Latency
    operators: Operators


def export_run(run: Path, out: Path, options: ExportOptions) -> Exported:
    """Write `out` and its manifest, if the file is as good as the network it came from.

    Raises:
        UsageError: `out`, or what its manifest would be called, is another kind of file.
        TrainingError: the run is not usable; or the file loses more than the budget, or a device
            would name fewer people with it than with the model that the run started from. Such a
            file is left beside `out`, and an older export at `out` stays as it was.
    """
    if out.suffix != ".tflite":
        raise TrainingError(f"export: expected --out NAME.tflite, got {out}")
    _check_replaceable(out)
    job = _Job.of(run, out, options)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / out.name
        candidate = job.best_candidate(file)
        latency = measure_latency(file, read_image(job.data.validation.paths[0]))
    manifest = candidate.manifest.model_copy(update={"metrics": candidate.metrics()})
    recipe = job.loaded.recipe
    if unfinished := stopped_in(run, recipe):
        source = f"{manifest.source}; stopped in {unfinished}"
        manifest = manifest.model_copy(update={"source": source})
    # People it was trained on look less alike to it than others will.
    first = 0 if job.data.held_out else 1
    held_out = [result.exported for result in candidate.results[first:]]
    manifest, thresholds = with_thresholds(manifest, held_out, recipe)
    unseen = candidate.results[0 if job.data.held_out or job.data.held_out_photos else 1 :]
    missed = missed_beside_start(manifest, [result.exported for result in unseen], recipe)
    if refusal := job.refusal(candidate, missed):
        refused = out.with_suffix(".refused.tflite")
        _write(candidate, manifest, refused)
        raise TrainingError(f"{refusal}; it is not kept as {out}, but lies in {refused}")
    _write(candidate, manifest, out)
    operators = read_operators(candidate.content)
    return Exported(manifest, thresholds, missed, unfinished, latency, operators)


def _check_replaceable(out: Path) -> None:
    """A model without a manifest may be anybody's, and its manifest's name may be taken."""
    manifest = manifest_path(out)
    check_replaceable(manifest, f"manifest {manifest}", "that of an older export", _is_manifest)
    check_replaceable(
        out,
        f"--out {out}",
        "an older export with its manifest",
        lambda file: is_tflite(file) and manifest.exists(),
    )


def _is_manifest(file: BinaryIO) -> bool:
    """Also one that is no longer right: its owner is told to export the model again."""
    try:
        table = json.load(file)
    except (ValueError, RecursionError):
        return False
    return isinstance(table, dict) and table.get("kind") == "embedding"


def _write(candidate: ExportCandidate, manifest: EmbeddingManifest, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as kept:  # its model is there as soon as the manifest is, or neither is
        kept.write(candidate.content)
        write_manifest(manifest, out)


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
        if loaded.is_osnet:
            options = _for_osnet(options)
        data = load_data_of(run, loaded.recipe)
        splits = [validation_split(data), *(read_split(folder) for folder in options.validate)]
        _refuse_same_names(splits)
        network = mirrored(loaded.embedder) if options.mirror else loaded.embedder
        originals = tuple(
            evaluate_network(network, split, loaded.recipe.grey_world) for split in splits
        )
        return cls(run, out, options, loaded, data, originals)

    def best_candidate(self, path: Path) -> ExportCandidate:
        """The first that loses no more than it may; if all do, the one that loses least.

        Int8 that loses too much is fine-tuned, longer and longer. The file is left at `path`.
        """
        crops = _training_crops(self.loaded, self.data, self.options.calibration)
        budget = self.options.budget_points
        candidates: list[ExportCandidate] = []
        print(_plan(self.options))
        for minutes in _tries(self.options):
            if candidates:
                print(f"{candidates[-1].failure(budget)}; fine-tuning it for {minutes:g} minutes")
            candidates.append(self._candidate(path, crops, minutes))
            if candidates[-1].failure(budget) is None:
                break
        best = min(candidates, key=lambda candidate: candidate.excess_points(budget))
        path.write_bytes(best.content)
        write_manifest(best.manifest, path)
        return best

    def refusal(self, candidate: ExportCandidate, missed: Sequence[MissedPeople]) -> str | None:
        """Why the file is not kept, and what to try; None where it is."""
        if failure := candidate.failure(self.options.budget_points):
            learns = not self.loaded.is_osnet
            return f"{failure}; {_advice(self.run, self.out, self.options, learns=learns)}"
        return None if self.options.allow_fewer else more_missed(missed)

    def _candidate(self, path: Path, crops: ImageBatch, minutes: float) -> ExportCandidate:
        options = self.options
        content = self._content(crops, minutes)
        path.write_bytes(content)
        manifest = bare_manifest(
            path,
            self.run,
            self.loaded,
            self.data.train.paths or self.data.unlabelled.paths,
            precision=options.precision,
            mirror=options.mirror,
            licence=options.licence,
        )
        write_manifest(manifest, path)
        results = tuple(
            Comparison(evaluate_file(path, original.split), original) for original in self.originals
        )
        return ExportCandidate(content, manifest, results)

    def _content(self, crops: ImageBatch, minutes: float) -> bytes:
        if self.loaded.is_osnet and self.options.precision == "int8":
            return to_rounded_file(*with_limits(self.loaded.operations, crops))
        return to_tflite(
            self.loaded.embedder,
            self.options.precision,
            crops,
            _tuning(self.loaded, self.data, minutes),
            mirror=self.options.mirror,
        )


def _for_osnet(options: ExportOptions) -> ExportOptions:
    """What of it holds for an OSNet, whose rounding is not trained through.

    Raises:
        TrainingError: what was asked for is not made of one.
    """
    asked = {
        "--int16x8": options.precision == "int16x8",
        "--fine-tune": bool(options.fine_tune_minutes),
        "--fine-tune-most": bool(options.fine_tune_most),
        "--mirror": options.mirror and options.precision == "int8",
    }
    if wrong := [name for name, given in asked.items() if given]:
        raise TrainingError(
            "export: expected of an osnet an int8 or float file of the crop alone, got "
            f"{' and '.join(wrong)}; leave that out"
        )
    return replace(options, fine_tune_most=0.0)


def _training_crops(loaded: Run, data: RunData, count: int) -> ImageBatch:
    """Up to `count` of them, spread over people and cameras where those are known."""
    labels, cameras, seed = data.train.labels, data.train.cameras, loaded.recipe.seed
    if len(labels):
        paths = data.train.take(stratified(labels, count, seed, cameras)).paths
    else:
        order = np.random.default_rng(seed).permutation(len(data.unlabelled))[:count]
        paths = tuple(data.unlabelled.paths[index] for index in order)
    crops = load_crops(paths, *loaded.embedder.input_shape[1:3])
    return balanced_batch(crops, loaded.recipe.grey_world)


def _tries(options: ExportOptions) -> Iterator[float]:
    """Minutes of fine-tuning: as asked for, then twice as long until it is enough."""
    minutes = options.fine_tune_minutes
    yield minutes
    while options.precision == "int8" and minutes < options.most_minutes:
        minutes = min(max(2 * minutes, _FIRST_MINUTES), options.most_minutes)
        yield minutes


def _plan(options: ExportOptions) -> str:
    """What the export does, and how long it may take."""
    asked, *more = _tries(options)
    first = f", fine-tuned for {asked:g} minutes" if asked else ""
    plan = f"export: {options.precision}{first}, scored on people held out"
    if not more:
        return plan
    longer = " and then ".join(f"{minutes:g}" for minutes in more)
    return (
        f"{plan}; if it loses too much, it is fine-tuned through int8 rounding for {longer} "
        f"minutes, so {sum(more):g} more at most; --fine-tune-most 0 leaves that out"
    )


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
            f"export: expected data sets of different names, got {twice[0]} twice; the manifest "
            "tells scores apart by them: rename a folder"
        )


def _advice(run: Path, out: Path, options: ExportOptions, *, learns: bool) -> str:
    """What to try next, the likeliest first; `learns`: it can be trained through its rounding."""
    if options.precision == "int8" and not learns:
        return f"try edge-reid export {run} --float16 --out {out}, or a larger --budget"
    if options.precision != "int8":
        return f"try edge-reid export {run} --float32 --out {out}, or a larger --budget"
    longest = max(options.fine_tune_minutes, options.most_minutes)
    minutes = round(2 * longest) or _ADVISED_MINUTES
    return (
        f"try edge-reid export {run} --int8 --fine-tune {minutes} --out {out}, "
        "or --int16x8, --float16, or a larger --budget"
    )
