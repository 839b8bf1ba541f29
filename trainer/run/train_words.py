"""The trainer's side of `edge-reid train`, which the CLI looks up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from edge_reid.core.errors import UsageError
from edge_reid.core.foreign_text import TYPED_MAX, shown
from trainer.network.backbone import BLOCK_COUNT
from trainer.recipe.recipe import SIZE_STEP_PX, make_recipe, read_recipe
from trainer.run.run_curves import read_curves
from trainer.run.train import resume_run, start_run
from trainer.run.training_start import TrainingStart, start_share

_ALL_BLOCKS = BLOCK_COUNT + 1
_DISTILLING = {"regression": 8.0, "relational": 30.0, "softmax": 0.3, "triplet": 0.3}
"""Most of the pull towards the teacher: in short training it teaches more than identities do."""
_LEAST_STEPS = 60
"""Ten epochs of a hundred pictures are a dozen steps, too few to learn from."""
_DECIDING = "validation_mAP"
_NO_HELP = (
    "it did not help, the start is no worse: more people, and photos of each under several "
    "cameras, may; edge-reid data check finds wrong labels"
)
_console = Console()


def train(
    data: list[Path],
    out: Path,
    *,
    start: str,
    backbone: str | None,
    alpha: float | None,
    teacher: Path | None,
    size: str | None,
    epochs: float,
    minutes: float | None,
    hold_out: int | None,
    precision: str,
    seed: int,
) -> None:
    """Train with the standard recipe: the base frozen at first, then freed but for its start."""
    begun = TrainingStart.of(start)
    height_px, width_px = begun.size_px if size is None else parse_size(size)
    at_size = {"height_px": height_px, "width_px": width_px}
    network = begun.network_asked(backbone, alpha)
    # What is already a re-ID network would be shaken out of place by the larger steps.
    rates = (1e-3, 3e-4) if begun.is_reid else (3e-3, 1e-3)
    settings: dict[str, Any] = {
        "sources": [{"path": path} for path in data],
        "stages": [
            at_size
            | {"epochs": 1, "frozen_blocks": _ALL_BLOCKS, "learning_rate": rates[0]}
            | {"minutes": minutes and minutes / 10},
            at_size
            | {"epochs": epochs, "learning_rate": rates[1], "minutes": minutes}
            | {"least_steps": _LEAST_STEPS, "warmup_steps": _LEAST_STEPS // 5},
        ],
        "start_share": start_share(network) if begun.is_reid else 0.0,
        "backbone": network[0],
        "alpha": network[1],
        "precision": precision,
        "teachers": teacher,
        "hold_out": hold_out,
        "seed": seed,
    }
    settings |= {"losses": _DISTILLING} if teacher else {}
    settings |= begun.settings
    recipe = make_recipe(settings)
    _say(begun.remark)
    _finish(start_run(recipe, out), out)


def train_recipe(recipe: Path, out: Path) -> None:
    """Train exactly as a recipe file says."""
    _finish(start_run(read_recipe(recipe), out), out)


def resume(run: Path) -> None:
    """Go on with an interrupted run."""
    _finish(resume_run(run), run)


def parse_size(size: str) -> tuple[int, int]:
    """`192x96` → (192, 96), height first; both must be multiples of 16."""
    given = re.fullmatch(r"([0-9]{2,4})[xX×]([0-9]{2,4})", size)
    height_px, width_px = map(int, given.groups()) if given else (0, 0)
    if not (height_px and width_px) or height_px % SIZE_STEP_PX or width_px % SIZE_STEP_PX:
        raise UsageError(
            f"--size: expected HEIGHTxWIDTH in multiples of {SIZE_STEP_PX}, got "
            f"{shown(size, TYPED_MAX)!r}"
        )
    return height_px, width_px


def _finish(validated: dict[str, float], run: Path) -> None:
    _say(f"done: {outcome(read_curves(run)[0], validated)}")
    _say(f"next: {next_command(run)}")


def next_command(run: Path) -> str:
    """What exports a run, under its own name."""
    model = Path("models", f"{run.resolve().name}.tflite")
    return shlex.join(["edge-reid", "export", str(run), "--int8", "--out", str(model)])


def _say(line: str) -> None:
    _console.print(line, soft_wrap=True, markup=False, highlight=False)


def outcome(first: Mapping[str, float], last: Mapping[str, float]) -> str:
    """The scores in per cent, and whether the run helped where its start was scored too."""
    if _DECIDING not in first:
        return "in %: " + ", ".join(f"{_short(name)} {100 * v:.1f}" for name, v in last.items())
    changes = ", ".join(
        f"{_short(name)} {100 * first[name]:.1f} → {100 * value:.1f}"
        for name, value in last.items()
    )
    points = 100 * (last[_DECIDING] - first[_DECIDING])
    helped = "it helped" if points > 0 else _NO_HELP
    return f"{helped} ({points:+.1f} points of mAP); in %: {changes}"


def _short(name: str) -> str:
    return name.removeprefix("validation_")
