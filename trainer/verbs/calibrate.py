"""`edge-reid calibrate`: the thresholds of a model, from people it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    model: Annotated[Path, typer.Argument(help="The .tflite whose manifest gets the thresholds.")],
    data: Annotated[
        list[Path], typer.Argument(help="Data sets of people the model was not trained on.")
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Also try thresholds from half of the people on the others."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, but write nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Even on people that it was trained on, and over thresholds that rest on more.",
        ),
    ] = False,
    runtime: Annotated[str, typer.Option(help="auto, litert or tflite-runtime.")] = "auto",
) -> None:
    """Measure how alike impostors look, and write the threshold table into the manifest."""
    from edge_reid.core.config import runtime_name
    from trainer.thresholds.score_words import calibrate_model

    calibrate_model(
        model, data, runtime=runtime_name(runtime), check=check, dry_run=dry_run, force=force
    )
