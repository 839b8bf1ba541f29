"""The trainer's side of `edge-reid train`, which the CLI looks up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from edge_reid.core.bundled_models import (
    CHECKPOINT,
    MOBILENET_CHECKPOINT,
    MODEL_OF,
    OPEN_CHECKPOINT,
    shipped_model,
)
from edge_reid.core.errors import TrainingError, UsageError
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from trainer.network.backbone import BLOCK_COUNT
from trainer.recipe.recipe import RECIPE, SIZE_STEP_PX, Recipe, make_recipe, read_recipe
from trainer.run.run_curves import read_curves
from trainer.run.train import resume_run, start_run

_DEFAULT_NETWORK = "mobilenetv2", 1.0
_SHIPPED = {"shipped": CHECKPOINT, "open": OPEN_CHECKPOINT, "mobilenet": MOBILENET_CHECKPOINT}
_NETWORKS = {"shipped": ("osnet", 1.0), "open": ("osnet", 0.5), "mobilenet": _DEFAULT_NETWORK}
"""Backbone and width of the weights that `--start` calls so."""
_ALL_BLOCKS = BLOCK_COUNT + 1
_DISTILLING = {"regression": 8.0, "relational": 30.0, "softmax": 0.3, "triplet": 0.3}
"""Most of the pull towards the teacher: in short training it teaches more than identities do."""
_START_SHARE = 0.3
"""Of the start in what is exported. Measured after fine-tuning on 10 people: mAP on 40 others under
the same cameras 64.2 → 71.2 (68.3 without the share), under old ones 93.8 → 94.3 (91.5 without)."""
_DEFAULTS_START_SHARE = 0.6
"""The same of the default model's network, where strangers come to look more alike too: with ten
people of PKU-Reid 24 of 40 photos are named before and 31 after, and 1 of 200 of others; with 0.3
of the start it was 34, and 9."""
_LEAST_STEPS = 60
"""Ten epochs of a hundred pictures are a dozen steps, too few to learn from."""
_DECIDING = "validation_mAP"
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
    start = _word_of(start)
    height_px, width_px = size_of(start, size)
    at_size = {"height_px": height_px, "width_px": width_px}
    weights = start_settings(start)
    backbone, alpha = network_of(start, backbone, alpha)
    tuning = "start_from" in weights
    # What is already a re-ID network would be shaken out of place by the larger steps.
    rates = (1e-3, 3e-4) if tuning else (3e-3, 1e-3)
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
        "start_share": _start_share(backbone, alpha) if tuning else 0.0,
        "backbone": backbone,
        "alpha": alpha,
        "precision": precision,
        "teachers": teacher,
        "hold_out": hold_out,
        "seed": seed,
    }
    settings |= {"losses": _DISTILLING} if teacher else {}
    settings |= weights
    _finish(start_run(make_recipe(settings), out), out)


def _start_share(backbone: str, alpha: float) -> float:
    is_defaults = (backbone, alpha) == _NETWORKS["shipped"]
    return _DEFAULTS_START_SHARE if is_defaults else _START_SHARE


def _word_of(start: str) -> str:
    """What shipped weights are called that a path leads to; any other start as it is."""
    given = Path(start).resolve()
    words = (word for word, name in _SHIPPED.items() if given == shipped_model(name).resolve())
    return next(words, start)


def network_of(start: str, backbone: str | None, alpha: float | None) -> tuple[str, float]:
    """Backbone and width that are trained: those of the weights begun with, or as asked for.

    Raises:
        UsageError: shipped weights are of another network than was asked for.
        ConfigError: the recipe beside a run's weights is none.
    """
    shipped, run = _NETWORKS.get(start), _recipe_of(start)
    begun = shipped or ((run.backbone, run.alpha) if run else _DEFAULT_NETWORK)
    name = backbone or begun[0]
    usual = (width for known, width in (begun, *_NETWORKS.values()) if known == name)
    asked = name, next(usual, 1.0) if alpha is None else alpha
    if shipped and asked != shipped:
        fitting = (known for known, network in _NETWORKS.items() if network == asked)
        others = next(fitting, "imagenet or a file")
        raise UsageError(
            f"train: expected --start {others} for {asked[0]} {asked[1]:g}, got {start}; these "
            f"weights are of {shipped[0]} {shipped[1]:g}"
        )
    return asked


def size_of(start: str, size: str | None) -> tuple[int, int]:
    """Height and width in pixels: as asked for, or as the weights begun with take them.

    Raises:
        UsageError: `size` is none.
        ConfigError: the recipe beside a run's weights is none.
    """
    if size is not None:
        return parse_size(size)
    if run := _recipe_of(start):
        return run.stages[-1].height_px, run.stages[-1].width_px
    manifest = _shipped_manifest(start if start in _SHIPPED else "mobilenet")
    return manifest.input_height_px, manifest.input_width_px


def train_recipe(recipe: Path, out: Path) -> None:
    """Train exactly as a recipe file says."""
    _finish(start_run(read_recipe(recipe), out), out)


def resume(run: Path) -> None:
    """Go on with an interrupted run."""
    _finish(resume_run(run), run)


def parse_size(size: str) -> tuple[int, int]:
    """`192x96` → (192, 96), height first; both must be multiples of 16."""
    parts = size.lower().replace("×", "x").split("x")
    numbers = [int(p) for p in parts if p.isdigit()]
    if len(parts) != 2 or len(numbers) != 2 or any(n % SIZE_STEP_PX or n == 0 for n in numbers):  # noqa: PLR2004
        raise UsageError(
            f"--size: expected HEIGHTxWIDTH in multiples of {SIZE_STEP_PX}, got {size!r}"
        )
    return numbers[0], numbers[1]


def start_settings(start: str) -> dict[str, Any]:
    """What a recipe says of the weights `--start` names, and of how their network is fed.

    Raises:
        TrainingError: there is no such file.
    """
    if start == "imagenet":
        return {}
    path = shipped_model(_SHIPPED[start]) if start in _SHIPPED else Path(start)
    if not path.is_file():
        raise TrainingError(
            f"--start {start}: expected {', '.join(_SHIPPED)}, imagenet (downloaded) or a file "
            f"(.npz checkpoint, torchvision .pth, keras.applications .h5), got no file {path}"
        )
    if path.suffix == ".tflite":
        raise TrainingError(
            f"--start {start}: expected weights that can be trained, got an exported model; give "
            "the weights.npz of the run that it comes from"
        )
    if path.suffix in {".pth", ".h5"}:
        return {"imagenet": path}
    return {"start_from": path, "grey_world": _grey_world(start)}


def _grey_world(start: str) -> float:
    """What the crops of the network had that is fine-tuned, as far as is noted beside it."""
    if start in _SHIPPED:
        return _shipped_manifest(start).grey_world
    run = _recipe_of(start)
    return run.grey_world if run else 0.0


def _shipped_manifest(start: str) -> EmbeddingManifest:
    """Of the model that a device runs, of the weights that `--start` calls so."""
    return load_embedding_manifest(shipped_model(MODEL_OF[_SHIPPED[start]]))


def _recipe_of(start: str) -> Recipe | None:
    """The recipe of the run whose weights a start is; None of any other, and of a copied file."""
    weights = Path(start)
    recipe = weights.parent / RECIPE
    return read_recipe(recipe) if weights.suffix == ".npz" and recipe.is_file() else None


def _finish(validated: dict[str, float], run: Path) -> None:
    _console.print(
        f"done: {outcome(read_curves(run)[0], validated)}; "
        f"next: edge-reid export {run} --int8 --out models/NAME.tflite",
        soft_wrap=True,
    )


def outcome(first: Mapping[str, float], last: Mapping[str, float]) -> str:
    """The scores in per cent, and whether the run helped where its start was scored too."""
    if _DECIDING not in first:
        return "in %: " + ", ".join(f"{_short(name)} {100 * v:.1f}" for name, v in last.items())
    changes = ", ".join(
        f"{_short(name)} {100 * first[name]:.1f} → {100 * value:.1f}"
        for name, value in last.items()
    )
    points = 100 * (last[_DECIDING] - first[_DECIDING])
    helped = "it helped" if points > 0 else "it did not help, the start is no worse"
    return f"{helped} ({points:+.1f} points of mAP); in %: {changes}"


def _short(name: str) -> str:
    return name.removeprefix("validation_")
