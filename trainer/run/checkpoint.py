"""A run's state on disk, written whole or not at all, so that a killed run can go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.files.arrays import BrokenArraysError, read_arrays, write_arrays
from trainer.network.model import set_weights_by_name, weights_by_name
from trainer.recipe.recipe import RECIPE, Recipe

CHECKPOINT = "checkpoint.npz"
_MODEL, _OPTIMIZER, _PROGRESS = "model/", "optimizer/", "progress"


@dataclass(frozen=True, slots=True)
class TrainingPosition:
    """Where a run is: the stage, the steps done in it, and its wall time so far."""

    stage: int = 0
    step: int = 0
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """All that a run goes on from.

    Attributes:
        file: where it is on disk, or will be.
        at: how far the run was.
        model: every variable of the training network, by `layer/variable`.
        optimizer: every variable of the optimizer, in its own order: step count, learning rate,
            moving average of the weights, and the moments.
    """

    file: Path
    at: TrainingPosition
    model: Mapping[str, npt.NDArray[Any]]
    optimizer: tuple[npt.NDArray[Any], ...]


def checkpoint_of(run: Path, model: keras.Model, at: TrainingPosition) -> Checkpoint:
    """A copy of the state that training has now, not yet on disk."""
    return Checkpoint(
        file=run / CHECKPOINT,
        at=at,
        model={name: np.array(value) for name, value in weights_by_name(model).items()},
        optimizer=tuple(
            np.array(keras.ops.convert_to_numpy(variable)) for variable in model.optimizer.variables
        ),
    )


def write_checkpoint(state: Checkpoint) -> None:
    """Put a state on disk over the checkpoint before.

    Raises:
        TrainingError: a number in it is not finite; the checkpoint before is kept.
    """
    arrays = {f"{_MODEL}{name}": value for name, value in state.model.items()}
    arrays |= {f"{_OPTIMIZER}{index:04d}": a for index, a in enumerate(state.optimizer)}
    check_finite(arrays, state.file.parent, state.at)
    at = state.at
    arrays[_PROGRESS] = np.array([at.stage, at.step, at.elapsed_s], np.float64)
    write_arrays(state.file, arrays)


def check_finite(arrays: Mapping[str, npt.NDArray[Any]], run: Path, at: TrainingPosition) -> None:
    """Raise TrainingError unless all numbers among `arrays` are finite."""
    if broken := [name for name, value in arrays.items() if not np.isfinite(value).all()]:
        raise diverged(f"finite weights, got {broken[0]} that is not", run, at)


def diverged(expected: str, run: Path, at: TrainingPosition) -> TrainingError:
    """The error of a run that has left the finite numbers, with the way back."""
    kept = "the last good checkpoint is kept" if (run / CHECKPOINT).exists() else "none was saved"
    return TrainingError(
        f"run {run}: stage {at.stage + 1}, step {at.step}: expected {expected}; {kept}: lower "
        f"learning_rate in {run}/recipe.json, then edge-reid train --resume {run}"
    )


def read_checkpoint(run: Path) -> Checkpoint | None:
    """The last checkpoint of a run; None when there is none yet.

    Raises:
        TrainingError: the file is no checkpoint, or damaged.
    """
    path = run / CHECKPOINT
    if not path.exists():
        return None
    try:
        arrays = read_arrays(path)
        stage, step, elapsed_s = arrays.pop(_PROGRESS)
    except (BrokenArraysError, ValueError, KeyError) as error:
        raise TrainingError(
            f"checkpoint {path}: expected a training checkpoint, got a damaged file ({error}); "
            "put a copy of it back, or delete it and resume: the run then begins again"
        ) from error
    return Checkpoint(
        file=path,
        at=TrainingPosition(int(stage), int(step), float(elapsed_s)),
        model={n.removeprefix(_MODEL): a for n, a in arrays.items() if n.startswith(_MODEL)},
        optimizer=tuple(arrays[n] for n in sorted(arrays) if n.startswith(_OPTIMIZER)),
    )


def stopped_in(run: Path, recipe: Recipe) -> str:
    """`stage 1 of 2` where a run was stopped in that; empty where it is done, or nobody knows.

    Raises:
        TrainingError: the checkpoint is damaged.
    """
    saved = read_checkpoint(run)
    if saved is None or saved.at.stage >= len(recipe.stages):
        return ""
    return f"stage {saved.at.stage + 1} of {len(recipe.stages)}"


def restore_model(saved: Checkpoint, model: keras.Model) -> None:
    """Set the model's weights; TrainingError when they are of another architecture."""
    try:
        set_weights_by_name(model, dict(saved.model), str(saved.file))
    except TrainingError as error:
        raise TrainingError(
            f"{error}; set the network of {saved.file.with_name(RECIPE)} back to what it was, or "
            "begin a new run"
        ) from error


def restore_optimizer(saved: Checkpoint, model: keras.Model) -> None:
    """Set the optimizer's state; the model must be compiled and built as when it was saved.

    Raises:
        TrainingError: the state belongs to other trainable variables.
    """
    variables = model.optimizer.variables
    expected = [tuple(v.shape) for v in variables]
    found = [value.shape for value in saved.optimizer]
    if expected != found:
        raise TrainingError(
            f"checkpoint {saved.file}: expected the optimizer's {len(expected)} variables for what "
            f"the recipe trains in stage {saved.at.stage + 1}, got {len(found)}, or of other "
            "shapes; set frozen_blocks and precision of the recipe back to what they were"
        )
    for variable, value in zip(variables, saved.optimizer, strict=True):
        variable.assign(value)
