"""`edge-reid data`: is this data set fit to train on?"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_reid.core.errors import TrainingError

data = typer.Typer(
    help="Look at data sets before training on them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@data.callback()
def _group() -> None:
    """Keeps `check` a word of its own while it is the only verb."""


@data.command("check")
def check(
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA...",
            help="Folders (one per identity inside, or Market-1501 file names) or .csv files of "
            "path,identity[,camera].",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json and contact sheets (PNG).")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Embedding model. [default: the shipped one]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """What is there, what cannot be read, what is there twice, and which labels look wrong.

    Leaves with 1 when training would fail or labels contradict themselves.
    """
    if not _data_verbs().check(places, out=out, as_json=as_json, model=model):
        raise typer.Exit(1)


def _data_verbs() -> Any:
    """Looked up by name, as `trainer_verbs`; but this part of the trainer needs no TensorFlow."""
    if not importlib.util.find_spec("trainer"):
        raise TrainingError(
            "this verb needs the trainer, which is not installed here; "
            "on a workstation: pip install 'edge-reid[trainer]'"
        )
    return importlib.import_module("trainer.data_verbs")
