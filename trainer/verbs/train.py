"""`edge-reid train`: person crops in, an embedding network out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import was_typed
from edge_reid.core.errors import UsageError
from trainer.verbs.needs import need_keras


def train(
    context: typer.Context,
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DATA",
            help="Folders (one per identity inside, or Market-1501 file names) or .csv.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run, made new.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run instead.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="All settings from a JSON file.")] = None,
    start: Annotated[
        str,
        typer.Option(
            help="shipped (the default model's, for research), open (Apache-2.0), mobilenet (a "
            "MobileNetV2's, for research), imagenet (downloaded), or a file: a run's .npz, .pth or "
            ".h5."
        ),
    ] = "shipped",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="mobilenetv2, mobilenetv3-large, mobilenetv3-small or osnet. [default: that of "
            "--start, else mobilenetv2]"
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Width of the backbone. [default: that of --start, else 1]")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Distil from this: .npz of `names` and `emb`, .tflite, .onnx or .keras, or the "
            "name of a shipped model."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Input height x width, in pixels. [default: that of --start, else 192x96]"
        ),
    ] = None,
    epochs: Annotated[
        float,
        typer.Option(help="Epochs in which the base learns too, after one in which it is frozen."),
    ] = 10,
    minutes: Annotated[
        float | None,
        typer.Option(help="End training after about so many minutes. [default: no limit]"),
    ] = None,
    hold_out: Annotated[
        int | None,
        typer.Option(
            help="Identities of the first folder kept aside to validate on. [default: a fifth]"
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="auto, float32, mixed_bfloat16 or mixed_float16; auto is float32 on a CPU."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn at random.")] = 1,
) -> None:
    """Train an embedding model on person crops.

    An OSNet is fine-tuned, or a MobileNet (--start mobilenet, imagenet): new layers first, then
    most of the base.

    Losses, augmentation, stages and all else are settings of a recipe: the recipe.json in a run's
    folder shows every one; change a copy and give it as --recipe.
    """
    if resume is not None:
        _refuse_others(context, {"resume"})
        need_keras()
        from trainer.run import train_words

        train_words.resume(resume)
        return
    if out is None or not (data or recipe):
        missing = "--out" if data or recipe else "DATA"
        raise UsageError(
            f"train: expected DATA (or --recipe) and --out RUN, or --resume RUN, got no {missing}; "
            "for example edge-reid train people/ --out runs/mine"
        )
    if recipe is not None:
        _refuse_others(context, {"recipe", "out"})
    need_keras()
    from trainer.run import train_words

    if recipe is not None:
        train_words.train_recipe(recipe, out)
        return
    train_words.train(
        data or [],
        out,
        start=start,
        backbone=backbone,
        alpha=alpha,
        teacher=teacher,
        size=size,
        epochs=epochs,
        minutes=minutes,
        hold_out=hold_out,
        precision=precision,
        seed=seed,
    )


def _refuse_others(context: typer.Context, heeded: set[str]) -> None:
    """A recipe holds all settings: one given beside it would be passed over in silence."""
    given = [
        name.upper() if name == "data" else "--" + name.replace("_", "-")
        for name in context.params
        if name not in heeded and was_typed(context, name)
    ]
    if given:
        alone = " and ".join(f"--{name}" for name in sorted(heeded, reverse=True))
        raise UsageError(
            f"train: expected {alone} alone, got {', '.join(given)} beside it; "
            "what a recipe says is changed in its file"
        )
