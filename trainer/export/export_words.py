"""The trainer's side of `edge-reid export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge_reid.core.files import check_replaceable
from edge_reid.core.manifest import EmbeddingManifest
from trainer.export.export import Exported, ExportOptions, export_run
from trainer.export.quantize import Precision
from trainer.network.model import is_weights, load_run, save_weights
from trainer.thresholds.missed_people import MissedPeople


def export(
    run: Path,
    out: Path,
    *,
    precision: Precision,
    fine_tune: float,
    fine_tune_most: float | None,
    budget: float | None,
    calibration: int,
    mirror: bool,
    allow_fewer: bool,
    validate: list[Path],
    checkpoint: Path | None,
    licence: str | None,
) -> None:
    """Write the model file and its manifest, or fail with a reason and write nothing."""
    if checkpoint is not None:
        check_replaceable(checkpoint, f"--checkpoint {checkpoint}", "older weights", is_weights)
    options = ExportOptions(
        precision=precision,
        budget_points=budget,
        calibration=calibration,
        mirror=mirror,
        allow_fewer=allow_fewer,
        fine_tune_minutes=fine_tune,
        fine_tune_most=fine_tune_most,
        validate=tuple(validate),
        licence=licence,
    )
    exported = export_run(run, out, options)
    if checkpoint is not None:
        save_weights(load_run(run).embedder, checkpoint, dtype="float16")
    _print(exported, out)


def _print(exported: Exported, out: Path) -> None:
    table = Table(title=f"{out} ({out.stat().st_size / 1e6:.1f} MB)", title_justify="left")
    table.add_column("measured")
    table.add_column("value", justify="right")
    for name, value in exported.manifest.metrics.items():
        table.add_row(name, _shown(name, value))
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    if exported.unfinished:
        console.print(
            f"warning: the run was stopped in {exported.unfinished}; edge-reid train --resume "
            "goes on with it"
        )
    console.print(f"thresholds: {exported.thresholds}")
    if exported.missed:
        console.print(_missed_table(exported.missed))
    if any(row.may_be_more for row in exported.missed):
        console.print(
            "warning: fewer people may be named than with the model it started from; more people "
            "(--validate MOREPEOPLE) tell"
        )
    console.print(f"latency: {exported.latency}")
    console.print(f"operators: {exported.operators}")
    console.print(f"terms: {exported.manifest.licence}", markup=False)
    console.print(f"next: {_next(exported.manifest, out)}", markup=False)


def _next(manifest: EmbeddingManifest, out: Path) -> str:
    """What a device still needs before it can use the file."""
    if not manifest.impostor_quantiles:
        return f"edge-reid calibrate {out} OTHERPEOPLE: no device takes it without thresholds"
    return (
        f"edge-reid gallery init NEW.db --model {out}, and enrol everybody there: embeddings of "
        "two models cannot be compared"
    )


def _missed_table(missed: Sequence[MissedPeople]) -> Table:
    table = Table(
        title="forecast: enrolled people missed, one template each, at 1 % false alarms",
        title_justify="left",
    )
    table.add_column("enrolled", justify="right")
    for title in ("with the model it started from", "with this file", "more or fewer, 95 %"):
        table.add_column(title, justify="right")
    for row in missed:
        count = row.enrolled
        table.add_row(
            f"{count}",
            f"{row.before * count:.1f}",
            f"{row.after * count:.1f}",
            f"{row.low * count:+.1f} to {row.high * count:+.1f}",
        )
    return table


def _shown(name: str, value: float) -> str:
    """A metric as text: shares in per cent; points, cosines and counts as they are."""
    if name.endswith(("_queries", "_cosine_mean", "_cosine_worst")):
        return f"{value:.4g}"
    if name.endswith("_points_lost"):
        return f"{value:.2f} points"
    return f"{100 * value:.2f} %"
