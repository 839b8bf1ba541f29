"""`edge-reid train`: person crops in, an embedding network out."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_reid.core.errors import TrainingError, UsageError


def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders: one per identity inside, or Market-1501 file names."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run, made new.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run instead.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="All settings from a JSON file.")] = None,
    start: Annotated[
        str, typer.Option(help="shipped, imagenet (downloaded), or a .npz or torchvision .pth.")
    ] = "shipped",
    teacher: Annotated[
        Path | None, typer.Option(help=".npz of `names` and `emb` to distil from.")
    ] = None,
    size: Annotated[str, typer.Option(help="Input height x width, in pixels.")] = "192x96",
    epochs: Annotated[float, typer.Option(help="Epochs after the frozen one.")] = 10,
    minutes: Annotated[float | None, typer.Option(help="End training after about this.")] = None,
    hold_out: Annotated[
        int | None, typer.Option(help="Identities of the first folder kept for validation.")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="auto, float32, mixed_bfloat16 or mixed_float16; auto is float32 on a CPU."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn at random.")] = 1,
) -> None:
    """Fine-tune a MobileNetV2 on person crops: new layers first, then most of the base."""
    if resume is not None:
        trainer_verbs().resume(resume)
        return
    if out is None or not (data or recipe):
        raise UsageError("train: expected DATA (or --recipe) and --out RUN, or --resume RUN")
    if recipe is not None:
        trainer_verbs().train_recipe(recipe, out)
        return
    trainer_verbs().train(
        data or [],
        out,
        start=start,
        teacher=teacher,
        size=size,
        epochs=epochs,
        minutes=minutes,
        hold_out=hold_out,
        precision=precision,
        seed=seed,
    )


def trainer_verbs() -> Any:
    """The trainer's side of the verbs, looked up by name: the box has no trainer installed.

    Raises:
        TrainingError: Keras, or the backend that KERAS_BACKEND names, is not installed here.
    """
    if not importlib.util.find_spec("keras") or not importlib.util.find_spec("trainer"):
        raise TrainingError(
            "this verb needs the trainer, which is not installed here; "
            "on a workstation: pip install 'edge-reid[trainer]'"
        )
    importlib.import_module("trainer.quiet").start_backend()
    return importlib.import_module("trainer.verbs")
