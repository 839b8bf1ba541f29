"""`edge-reid export`: a training run as a `.tflite` with its manifest, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.core.errors import UsageError
from trainer.verbs.needs import need_keras

if TYPE_CHECKING:
    from trainer.export.quantize import Precision

_CALIBRATION = 256


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training run.")],
    out: Annotated[
        Path,
        typer.Option(
            help="The .tflite to write, its manifest beside it; in the place of an older export."
        ),
    ],
    int8: Annotated[bool, typer.Option("--int8", help="Full int8 (the default).")] = False,
    int16x8: Annotated[
        bool, typer.Option("--int16x8", help="int16 activations, int8 weights: exact, slow.")
    ] = False,
    float16: Annotated[bool, typer.Option("--float16", help="float16 weights.")] = False,
    float32: Annotated[bool, typer.Option("--float32", help="No quantisation.")] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            help="Most mAP points the file may lose. [default: 0.5; more on fewer than 150 queries]"
        ),
    ] = None,
    calibration: Annotated[
        int | None,
        typer.Option(min=1, help=f"Crops to calibrate int8 with. [default: {_CALIBRATION}]"),
    ] = None,
    fine_tune: Annotated[
        float,
        typer.Option(min=0, help="Minutes of training through int8 rounding, from the start."),
    ] = 0.0,
    fine_tune_most: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="If int8 loses too much: fine-tune it, longer and longer, up to so many minutes. "
            "[default: 10; an osnet is not fine-tuned]",
        ),
    ] = None,
    mirror: Annotated[
        bool,
        typer.Option(
            "--mirror", help="Embed the mean of a crop and its mirror image, in twice the time."
        ),
    ] = False,
    allow_fewer: Annotated[
        bool,
        typer.Option(
            "--allow-fewer",
            help="Keep a fine-tune with which a device names fewer people than with its start.",
        ),
    ] = False,
    validate: Annotated[
        list[Path] | None,
        typer.Option(help="Further data to score and to take thresholds from."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Also store the float16 weights here, to fine-tune from.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="Of the weights. [default: as what they were made from allows]"),
    ] = None,
) -> None:
    """Write a run as a .tflite with its manifest.

    The very file is scored on held-out people, and kept only if it holds up.
    """
    precision = _precision(
        {"int8": int8, "int16x8": int16x8, "float16": float16, "float32": float32}
    )
    _check_heeded("--fine-tune", fine_tune, precision, "int8")
    _check_heeded("--fine-tune-most", fine_tune_most, precision, "int8")
    _check_heeded("--calibration", calibration, precision, "int8", "int16x8")
    need_keras()
    from trainer.export.export_words import export as export_run

    export_run(
        run,
        out,
        precision=precision,
        fine_tune=fine_tune,
        fine_tune_most=fine_tune_most,
        budget=budget,
        calibration=_CALIBRATION if calibration is None else calibration,
        mirror=mirror,
        allow_fewer=allow_fewer,
        validate=validate or [],
        checkpoint=checkpoint,
        licence=licence,
    )


def _precision(asked: dict[Precision, bool]) -> Precision:
    """The one that was asked for."""
    chosen = [precision for precision, is_wanted in asked.items() if is_wanted]
    if len(chosen) > 1:
        raise UsageError(
            "export: expected one of --int8, --int16x8, --float16 and --float32, got "
            + " and ".join(f"--{precision}" for precision in chosen)
        )
    return chosen[0] if chosen else "int8"


def _check_heeded(
    option: str, given: float | None, precision: Precision, *heeding: Precision
) -> None:
    """Raise UsageError if an option is given that files of this precision are not made by."""
    if given and precision not in heeding:
        raise UsageError(
            f"export: expected {option} with {' or '.join(f'--{each}' for each in heeding)}, got "
            f"--{precision}; leave it out"
        )
