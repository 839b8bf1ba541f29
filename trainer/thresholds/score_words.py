"""The trainer's side of `edge-reid evaluate` and `calibrate`; a `.tflite` needs no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from edge_reid.core.config.vision_settings import RuntimeName
from edge_reid.core.errors import UsageError
from edge_reid.core.manifest import load_embedding_manifest, write_manifest
from trainer.files.progress_bars import waiting
from trainer.network.backend import start_backend
from trainer.scoring.evaluate import (
    Report,
    embed_with_file,
    evaluate_file,
    evaluate_run,
    read_split,
)
from trainer.scoring.openset import OpenSet, open_set, setups
from trainer.thresholds import score_tables
from trainer.thresholds.calibrate_refusals import refuse_trained_on, refuse_worse_table
from trainer.thresholds.fnir_forecast import GALLERY_SIZES
from trainer.thresholds.threshold_crossval import cross_check
from trainer.thresholds.threshold_table import Embedded, calibrate

_console = Console()


def evaluate_model(
    model: Path,
    data: list[Path],
    *,
    runtime: RuntimeName,
    shots: tuple[int, ...],
    as_json: bool,
) -> None:
    """Print the scores of a run or a `.tflite` on each data set.

    Args:
        model: a `.tflite`, or the folder of a run.
        data: data sets; a run may have none and is then scored on the people it held out.
        runtime: for a `.tflite`.
        shots: templates per enrolled person in open-set trials; none: no such trials.
        as_json: one JSON object per data set, a line each.
    """
    tables: list[tuple[Report, dict[float, float], list[OpenSet]]] = []
    for report in _reports(model, data, runtime):
        with waiting("comparing pairs and drawing galleries"):
            row = report, report.accept_rates(), _open_sets(report, shots)
        if as_json:
            print(json.dumps(score_tables.as_dict(*row)))
        tables.append(row)
    if not as_json:
        score_tables.show(_console, str(model), tables)


def calibrate_model(
    model: Path,
    data: list[Path],
    *,
    runtime: RuntimeName,
    check: bool,
    dry_run: bool,
    force: bool = False,
) -> None:
    """Measure the thresholds of a `.tflite` and write them into its manifest.

    Args:
        model: the `.tflite`; the file itself, and so its model_id, stays as it is.
        data: people that the model was not trained on.
        runtime: that embeds.
        check: also calibrate on halves of the people and try the thresholds on the others.
        dry_run: show, but write nothing.
        force: even on people that it was trained on, and over a table of more people.
    """
    manifest = load_embedding_manifest(model)
    splits = [read_split(folder) for folder in data]
    if not force:
        for split in splits:
            refuse_trained_on(model, manifest, split)
    parts = [
        Embedded(split.name, split.data, embed_with_file(model, split.data.paths, runtime))
        for split in splits
    ]
    with waiting("drawing people"):
        measured = calibrate(parts)
    score_tables.show_calibration(_console, str(model), measured)
    if check:
        for part in parts:
            with waiting(f"checking on halves of {part.name}"):
                outcomes = cross_check(part, GALLERY_SIZES)
            score_tables.show_check(_console, part.name, outcomes)
    if not dry_run:
        if not force:
            refuse_worse_table(model, manifest, measured)
        path = write_manifest(measured.written_into(manifest), model)
        _console.print(f"written into {path}; model_id stays {manifest.model_id}", soft_wrap=True)


def _reports(model: Path, data: list[Path], runtime: RuntimeName) -> Iterator[Report]:
    if model.suffix == ".tflite":
        if not data:
            raise UsageError(f"evaluate {model}: expected DATA to score a .tflite on")
        for folder in data:
            yield evaluate_file(model, read_split(folder), runtime)
    elif model.is_dir():
        start_backend()
        for folder in data:
            yield evaluate_run(model, folder)
        if not data:
            yield evaluate_run(model, None)
    else:
        raise UsageError(f"evaluate {model}: expected a .tflite or the folder of a run")


def _open_sets(report: Report, shots: tuple[int, ...]) -> list[OpenSet]:
    people = report.split.known_people(report.crops)
    return [open_set(people, setup) for setup in setups(shots)]
