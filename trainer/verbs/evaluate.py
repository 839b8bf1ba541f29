"""`edge-reid evaluate`: how well a model tells people apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import JsonLinesOption, RuntimeOption, shipped_by_name
from edge_reid.core.errors import UsageError
from edge_reid.core.foreign_text import TYPED_MAX, shown

_SHOTS = r" *[1-9][0-9]{0,5} *(?:, *[1-9][0-9]{0,5} *)*"


def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A .tflite, the name of a shipped one, or the folder of a training run.",
            callback=shipped_by_name("embedding", or_run=True),
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DATA",
            help="Folders with query/ and bounding_box_test/, or any data sets; "
            "default: the identities the run held out.",
        ),
    ] = None,
    open_set: Annotated[
        bool, typer.Option("--open-set", help="Also FNIR at FPIR, with people never enrolled.")
    ] = False,
    shots: Annotated[str, typer.Option(help="Templates per person in --open-set.")] = "1,5",
    runtime: RuntimeOption = "auto",
    as_json: JsonLinesOption = False,
) -> None:
    """Score how well a model tells people apart.

    Rank-1/5/10, mAP, mINP, TAR@FAR; with --open-set FNIR at FPIR too.
    """
    counts = parse_shots(shots) if open_set else ()
    from edge_reid.core.config.vision_settings import runtime_name
    from trainer.thresholds.score_words import evaluate_model

    evaluate_model(model, data or [], runtime=runtime_name(runtime), shots=counts, as_json=as_json)


def parse_shots(text: str) -> tuple[int, ...]:
    """`1,5` → (1, 5)."""
    if not re.fullmatch(_SHOTS, text):
        raise UsageError(
            f"--shots: expected numbers of templates like 1,5, got {shown(text, TYPED_MAX)!r}"
        )
    return tuple(map(int, text.split(",")))
