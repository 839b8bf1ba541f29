"""What a report is about: runs and model files, each scored on the same people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from edge_reid.core.errors import TrainingError, UsageError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.matching.threshold import is_measured, threshold_for
from trainer.network.model import load_run
from trainer.recipe.recipe import Recipe
from trainer.report.curves import TrainingCurves, read_training_curves
from trainer.scoring.evaluate import Report, Split, evaluate_file, evaluate_network
from trainer.thresholds.similarities import Quantiles
from trainer.thresholds.threshold_table import Embedded, calibrate, table

Fact: TypeAlias = tuple[str, str]
GALLERY_SIZES = (10, 100, 1000)
"""Templates enrolled, for which thresholds are shown."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The similarity at which the device names somebody, for a number of templates enrolled.

    Attributes:
        templates: in the gallery.
        similarity: least one that counts.
        measured: False when it lies beyond what the comparisons can show.
    """

    templates: int
    similarity: float
    measured: bool


@dataclass(frozen=True, slots=True, eq=False)
class ReportSubject:
    """A run or a model file with its scores.

    Attributes:
        name: to tell subjects apart by.
        facts: (what, value) in words.
        quantiles: of impostor similarities: the manifest's, or of the people of this report.
        own_quantiles: whether they are the manifest's.
        curves: of a run; None for a file, or a run without any.
        reports: one for each data set, in the order of the report's data sets.
    """

    name: str
    facts: tuple[Fact, ...]
    quantiles: Quantiles
    own_quantiles: bool
    curves: TrainingCurves | None
    reports: tuple[Report, ...]

    def thresholds(self, fpir: float) -> tuple[Threshold, ...]:
        """At a target FPIR for each of `GALLERY_SIZES`; empty where nothing was measured."""
        if not self.quantiles:
            return ()
        return tuple(
            Threshold(
                size,
                threshold_for(self.quantiles, fpir, size),
                is_measured(self.quantiles, fpir, size),
            )
            for size in GALLERY_SIZES
        )


def read_subjects(paths: Sequence[Path], splits: Sequence[Split]) -> tuple[ReportSubject, ...]:
    """Score every run and file on every data set.

    Raises:
        UsageError: a path is neither the folder of a run nor a `.tflite`.
        ModelError: a file or its manifest cannot be used; TrainingError: a run, or its scores.
    """
    for path in paths:
        if path.suffix != ".tflite" and not path.is_dir():
            raise UsageError(f"report {path}: expected a .tflite or the folder of a run")
    names = names_of(paths)
    return tuple(
        _read_file(path, name, splits)
        if path.suffix == ".tflite"
        else _read_run(path, name, splits)
        for path, name in zip(paths, names, strict=True)
    )


def _read_file(model: Path, name: str, splits: Sequence[Split]) -> ReportSubject:
    manifest = load_embedding_manifest(model)
    reports = [evaluate_file(model, split) for split in splits]
    own = manifest.impostor_quantiles
    return ReportSubject(
        name,
        _file_facts(model, manifest),
        own or _measured_quantiles(reports),
        bool(own),
        None,
        tuple(reports),
    )


def _read_run(run: Path, name: str, splits: Sequence[Split]) -> ReportSubject:
    loaded = load_run(run)
    reports = [
        evaluate_network(loaded.embedder, split, loaded.recipe.grey_world) for split in splits
    ]
    return ReportSubject(
        name,
        _run_facts(run, loaded.recipe),
        _measured_quantiles(reports),
        False,
        read_training_curves(run),
        tuple(reports),
    )


def _measured_quantiles(reports: Sequence[Report]) -> Quantiles:
    """Quantiles as `edge-reid calibrate` would write them; none where people are too few."""
    parts = [Embedded.of(report) for report in reports]
    try:
        return table(calibrate(parts, sizes=(), replicates=1).impostor)
    except TrainingError:
        return ()


def _file_facts(model: Path, manifest: EmbeddingManifest) -> tuple[Fact, ...]:
    return (
        ("file", f"{model.name}, {model.stat().st_size / 1e6:.1f} MB, {manifest.quantisation}"),
        ("model_id", manifest.model_id),
        ("input", f"{manifest.input_height_px} × {manifest.input_width_px} px RGB"),
        ("embedding", f"{manifest.dimension} numbers, unit length"),
        ("made by", manifest.source),
        ("licence", manifest.licence),
        ("trained on", "; ".join(manifest.training_data) or "not stated"),
    )


def _run_facts(run: Path, recipe: Recipe) -> tuple[Fact, ...]:
    last = recipe.stages[-1]
    losses = ", ".join(recipe.losses.terms())
    return (
        ("run", f"{run.name}, float32"),
        ("input", f"{last.height_px} × {last.width_px} px RGB"),
        ("embedding", f"{recipe.dimension} numbers, unit length"),
        ("network", _network(recipe)),
        (
            "stages",
            "; ".join(f"{s.epochs:g} epochs at {s.height_px}×{s.width_px}" for s in recipe.stages),
        ),
        ("losses", losses),
        ("teachers", ", ".join(t.path.name for t in recipe.teachers) or "none"),
        ("trained on", "; ".join(f"{s.path.name}: {s.terms}" for s in recipe.trained_on)),
    )


def _network(recipe: Recipe) -> str:
    pooling = "" if recipe.backbone == "osnet" else f", {recipe.pooling} pooling"
    return f"{recipe.backbone} α {recipe.alpha:g}{pooling}"


def names_of(paths: Sequence[Path]) -> list[str]:
    """A name for each, a run and its own export told apart: what it is, and what it is called."""
    kinds = ["model" if path.suffix == ".tflite" else "run" for path in paths]
    return [f"{kind} {name}" for kind, name in zip(kinds, distinct_names(paths), strict=True)]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of the paths of files or folders, as many as tell them apart."""
    whole = [path.resolve() for path in paths]
    shown = [path.name for path in whole]
    for parts in range(2, max((len(path.parts) for path in whole), default=0) + 1):
        shown = [
            "/".join(path.parts[-parts:]) if shown.count(name) > 1 else name
            for path, name in zip(whole, shown, strict=True)
        ]
    return shown
