"""`edge-reid evaluate`: rank-k and mAP by the Market-1501 protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.train import trainer_verbs


def evaluate(
    model: Annotated[Path, typer.Argument(help="A .tflite, or the folder of a training run.")],
    data: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with query/ and bounding_box_test/, or any data set; "
            "default: the identities the run held out."
        ),
    ] = None,
    runtime: Annotated[str, typer.Option(help="auto, litert or tflite-runtime.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Rank a gallery for every query: rank-1/5/10, mAP and mINP."""
    trainer_verbs().evaluate(model, data, runtime=runtime, as_json=as_json)
