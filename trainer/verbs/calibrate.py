"""`edge-reid calibrate`: the thresholds of a model, from people it was not trained on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import RuntimeOption, given_model
from edge_reid.core.bundled_models import is_shipped
from edge_reid.core.errors import UsageError


def calibrate(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="The .tflite whose manifest gets the thresholds; a shipped one, or its name, only "
            "with --dry-run.",
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA", help="Data sets of people the model was not trained on."),
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
    runtime: RuntimeOption = "auto",
) -> None:
    """Measure the thresholds of a model.

    From impostor similarities of people it was not trained on, into its manifest.
    """
    from edge_reid.core.config.vision_settings import runtime_name
    from edge_reid.core.manifest import manifest_path
    from trainer.thresholds.score_words import calibrate_model

    file = given_model("MODEL", model, "embedding")
    if not dry_run and is_shipped(file.parent.resolve() / file.name):
        copy = shlex.join(["cp", str(file), str(manifest_path(file)), "."])
        raise UsageError(
            "calibrate: expected a .tflite of yours, whose manifest gets the thresholds, got a "
            f"shipped one, whose own stay; {copy} and calibrate that {file.name}, or --dry-run to "
            "look"
        )
    calibrate_model(
        file, data, runtime=runtime_name(runtime), check=check, dry_run=dry_run, force=force
    )
