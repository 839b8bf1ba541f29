"""`edge-reid report`: a run or a model, or several side by side, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import shipped_by_name
from trainer.verbs.needs import need_keras


def report(
    subjects: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Runs, .tflite files and names of shipped ones; several are compared.",
            callback=shipped_by_name("embedding", or_run=True),
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The .html to write, in the place of an older report; PNGs go into a folder "
            "beside it."
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Data set, run or recipe (its held-out people); may be given several times. "
            "Default: the people the first run held out."
        ),
    ] = None,
    fpir: Annotated[float, typer.Option(help="Accepted false alarms, for thresholds.")] = 0.01,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Leave the pictures of people out.")
    ] = False,
) -> None:
    """Write one HTML page of runs and models. Scores, curves, thresholds and ranked lists."""
    need_keras()
    from trainer.report.report_words import write_report

    write_report(subjects, data or [], out, fpir=fpir, pictures=not no_pictures)
