"""A run's state on disk, written whole or not at all, so that a killed run can go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.model import set_weights_by_name, weights_by_name

CHECKPOINT = "checkpoint.npz"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: the stage, the steps done in it, and its wall time so far."""

    stage: int = 0
    step: int = 0
    elapsed_s: float = 0.0


def save_checkpoint(run: Path, model: keras.Model, progress: Progress) -> None:
    """Write weights, optimizer state (moments and moving average included) and progress."""
    weights = weights_by_name(model)
    if broken := [name for name, value in weights.items() if not np.isfinite(value).all()]:
        raise TrainingError(
            f"expected finite weights, {broken[0]} is not at step {progress.step}; the last good "
            f"checkpoint is kept: lower learning_rate in {run}/recipe.json and resume"
        )
    arrays = {f"model/{name}": value for name, value in weights.items()}
    for index, variable in enumerate(model.optimizer.variables):
        arrays[f"optimizer/{index:04d}"] = np.asarray(variable)
    arrays["progress"] = np.array([progress.stage, progress.step, progress.elapsed_s], np.float64)
    partial = run / (CHECKPOINT + ".partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(
            f"checkpoint {run / CHECKPOINT}: cannot write ({error}); the previous one is kept, "
            "make room and resume"
        ) from error
    partial.replace(run / CHECKPOINT)


def read_progress(run: Path) -> Progress:
    """Where the checkpoint of a run is; the very start when there is none yet."""
    path = run / CHECKPOINT
    if not path.is_file():
        return Progress()
    with np.load(path) as stored:
        stage, step, elapsed_s = stored["progress"]
    return Progress(int(stage), int(step), float(elapsed_s))


def restore_model(run: Path, model: keras.Model) -> None:
    """Set the model's weights from the run's checkpoint."""
    with np.load(run / CHECKPOINT) as stored:
        values = {n.removeprefix("model/"): stored[n] for n in stored.files if "model/" in n}
    set_weights_by_name(model, values, str(run / CHECKPOINT))


def restore_optimizer(run: Path, model: keras.Model) -> None:
    """Set the optimizer's state; the model must be compiled and built as when it was saved."""
    with np.load(run / CHECKPOINT) as stored:
        for index, variable in enumerate(model.optimizer.variables):
            variable.assign(stored[f"optimizer/{index:04d}"])
