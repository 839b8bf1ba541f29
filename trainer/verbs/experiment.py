"""`edge-reid experiment`: experiments of the literature over many random draws."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import JsonOption, ModelOption
from trainer.verbs.needs import need_keras

experiment = typer.Typer(
    help="Repeat experiments of the literature over many draws.", no_args_is_help=True
)


@experiment.callback()
def _verbs_below() -> None:
    """Keep `closed-set` a word of its own while it is the only one."""


@experiment.command("closed-set")
def closed_set(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="People: a data set, or a run or recipe for the people it held out.",
        ),
    ],
    people: Annotated[int, typer.Option(help="People drawn for each trial.")] = 3,
    images: Annotated[int, typer.Option(help="Their images, changed copies included.")] = 1400,
    trials: Annotated[int, typer.Option(help="Random draws of people.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 1,
    refine: Annotated[
        bool, typer.Option("--refine", help="Train on into the base; minutes a trial.")
    ] = False,
    model: ModelOption = None,
    imagenet: Annotated[
        Path | None, typer.Option(help="torchvision's MobileNetV2 .pth; default: download.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for closed_set.json and closed_set.png.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a softmax classifier with nearest templates.

    For a few people, over many draws, as in Jalapur 2021.
    """
    need_keras()
    from trainer.experiment.closed_set import TrialPlan
    from trainer.experiment.experiment_words import run_closed_set

    run_closed_set(
        data,
        TrialPlan(people=people, images=images, trials=trials, seed=seed, refine=refine),
        model=model,
        imagenet=imagenet,
        out=out,
        as_json=as_json,
    )
