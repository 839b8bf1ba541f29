"""The trainer's side of `edge-reid export`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from trainer.export import Exported, ExportOptions, export_run
from trainer.model import load_run, save_weights
from trainer.quantize import Precision


def export(
    run: Path,
    out: Path,
    *,
    precision: Precision,
    fine_tune: float,
    fine_tune_most: float,
    budget: float,
    calibration: int,
    mirror: bool,
    validate: list[Path],
    checkpoint: Path | None,
    licence: str | None,
) -> None:
    """Write the model file and its manifest, or fail with a reason and write nothing."""
    options = ExportOptions(
        precision=precision,
        budget_points=budget,
        calibration=calibration,
        mirror=mirror,
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
        table.add_row(name, f"{value:.4g}")
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    if exported.unfinished:
        console.print(
            f"warning: the run was stopped in {exported.unfinished}; edge-reid train --resume "
            "goes on with it"
        )
    console.print(f"thresholds: {exported.thresholds}")
    console.print(f"latency: {exported.latency}")
    console.print(f"operators: {exported.operators}")
