"""`edge-reid data`: is this data set fit to train on?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import JsonOption, ModelOption

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
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            help="Folders (one per identity inside, or Market-1501 file names) or .csv files of "
            "path,identity[,camera].",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json and contact sheets (PNG).")
    ] = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find unreadable and doubled pictures, and wrong labels.

    Leaves with 1 when training would fail or labels contradict themselves.
    """
    from trainer.data_check.data_words import check as check_data

    if not check_data(sources, out=out, as_json=as_json, model=model):
        raise typer.Exit(1)
