"""The trainer's side of `edge-reid train`, `export` and `evaluate`, which the CLI looks up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge_reid.core.config import RuntimeName
from edge_reid.core.errors import TrainingError, UsageError
from edge_reid.core.shipped import shipped_model
from trainer import evaluate as scoring
from trainer.backbone import BLOCK_COUNT
from trainer.export import ExportOptions, export_run
from trainer.model import load_run, save_weights
from trainer.quantize import Precision
from trainer.recipe import make_recipe, read_recipe
from trainer.train import resume_run, start_run

SHIPPED_CHECKPOINT = "person_reid_mobilenetv2.weights.npz"
_ALL_BLOCKS = BLOCK_COUNT + 1
_DISTILLING = {"regression": 8.0, "relational": 30.0, "softmax": 0.3, "triplet": 0.3}
"""Most of the pull towards the teacher: in short training it teaches more than identities do."""
_console = Console()


def train(
    data: list[Path],
    out: Path,
    *,
    start: str,
    teacher: Path | None,
    size: str,
    epochs: float,
    minutes: float | None,
    hold_out: int | None,
    seed: int,
) -> None:
    """Train with the standard recipe: the base frozen at first, then freed but for its start."""
    height_px, width_px = parse_size(size)
    at_size = {"height_px": height_px, "width_px": width_px}
    weights = _start_weights(start)
    # What is already a re-ID network would be shaken out of place by the larger steps.
    rates = (1e-3, 3e-4) if "start_from" in weights else (3e-3, 1e-3)
    settings: dict[str, Any] = {
        "sources": [{"path": path} for path in data],
        "stages": [
            at_size
            | {"epochs": 1, "frozen_blocks": _ALL_BLOCKS, "learning_rate": rates[0]}
            | {"minutes": minutes and minutes / 10},
            at_size | {"epochs": epochs, "learning_rate": rates[1], "minutes": minutes},
        ],
        "teacher": teacher,
        "hold_out": hold_out,
        "seed": seed,
    }
    settings |= {"losses": _DISTILLING} if teacher else {}
    settings |= weights
    _finish(start_run(make_recipe(settings), out), out)


def train_recipe(recipe: Path, out: Path) -> None:
    """Train exactly as a recipe file says."""
    _finish(start_run(read_recipe(recipe), out), out)


def resume(run: Path) -> None:
    """Go on with an interrupted run."""
    _finish(resume_run(run), run)


def export(
    run: Path,
    out: Path,
    *,
    precision: Precision,
    budget: float,
    calibration: int,
    validate: list[Path],
    checkpoint: Path | None,
    licence: str,
) -> None:
    """Write the model file and its manifest, or fail with a reason and write nothing."""
    options = ExportOptions(
        precision=precision,
        budget_points=budget,
        calibration=calibration,
        validate=tuple(validate),
        licence=licence,
    )
    manifest = export_run(run, out, options)
    if checkpoint is not None:
        save_weights(load_run(run).embedder, checkpoint, dtype="float16")
    table = Table(title=f"{out} ({out.stat().st_size / 1e6:.1f} MB)", title_justify="left")
    table.add_column("measured on held-out people")
    table.add_column("value", justify="right")
    for name, value in manifest.metrics.items():
        table.add_row(name, f"{value:.4g}")
    _console.print(table)


def evaluate(model: Path, data: Path | None, *, runtime: RuntimeName, as_json: bool) -> None:
    """Print the Market-1501 scores of a run or a `.tflite`."""
    if model.suffix == ".tflite":
        if data is None:
            raise UsageError(f"evaluate {model}: expected DATA to score a .tflite on")
        report = scoring.evaluate_file(model, scoring.read_split(data), runtime)
    elif model.is_dir():
        report = scoring.evaluate_run(model, data)
    else:
        raise UsageError(f"evaluate {model}: expected a .tflite or the folder of a run")
    if as_json:
        _console.print_json(json.dumps(report.as_dict()))
    else:
        _print_report(str(model), report)


def parse_size(size: str) -> tuple[int, int]:
    """`192x96` → (192, 96), height first; both must be multiples of 32."""
    parts = size.lower().replace("×", "x").split("x")
    numbers = [int(p) for p in parts if p.isdigit()]
    if len(parts) != 2 or len(numbers) != 2 or any(n % 32 or n == 0 for n in numbers):  # noqa: PLR2004
        raise UsageError(f"--size: expected HEIGHTxWIDTH in multiples of 32, found {size!r}")
    return numbers[0], numbers[1]


def _start_weights(start: str) -> dict[str, Any]:
    if start == "imagenet":
        return {}
    path = shipped_checkpoint() if start == "shipped" else Path(start)
    if not path.is_file():
        raise TrainingError(
            f"--start {start}: expected a .npz checkpoint or a torchvision .pth, found no file "
            f"{path}; --start imagenet downloads ImageNet weights"
        )
    return {"imagenet": path} if path.suffix == ".pth" else {"start_from": path}


def shipped_checkpoint() -> Path:
    """The re-ID weights that fine-tuning starts from, in the checkout or the installed wheel."""
    return shipped_model(SHIPPED_CHECKPOINT)


def _finish(validated: dict[str, float], run: Path) -> None:
    scores = ", ".join(f"{name} {value:.3f}" for name, value in validated.items())
    _console.print(f"done: {scores}; next: edge-reid export {run} --int8 --out models/NAME.tflite")


def _print_report(title: str, report: scoring.Report) -> None:
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in report.scores().items():
        table.add_row(name, f"{100 * value:.2f} %")
    _console.print(table)
    _console.print(report.remarks(), highlight=False)
