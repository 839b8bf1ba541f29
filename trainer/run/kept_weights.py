"""The weights that a run leaves for export, in one file with the scores that they were kept for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np

from trainer.files.arrays import BrokenArraysError, read_arrays, write_arrays
from trainer.network.model import WEIGHTS, weights_by_name

_SCORES, _STAGE = "scores/", "kept_in/stage"


def keep_weights(run: Path, network: keras.Model, stage: int, scores: Mapping[str, float]) -> None:
    """Put weights in the place of those kept before, whole or not at all, with their scores.

    In one file, so that no crash comes between them: weights whose scores were forgotten would give
    way to worse ones when the run goes on.  The curves forget what is later than the checkpoint.

    Args:
        run: its folder; gets `weights.npz`.
        network: that is exported.
        stage: in which it was scored, counted from 0.
        scores: by name, each in [0, 1].
    """
    noted = {_STAGE: float(stage)} | {f"{_SCORES}{name}": v for name, v in scores.items()}
    arrays = {name: np.array(value, np.float32) for name, value in noted.items()}
    write_arrays(run / WEIGHTS, weights_by_name(network) | arrays)


def kept_scores(run: Path, stage: int) -> dict[str, float]:
    """The scores of the weights that a run has kept, by name; empty unless a stage kept them."""
    with suppress(BrokenArraysError, FileNotFoundError):
        arrays = read_arrays(run / WEIGHTS)
        if _STAGE in arrays and arrays[_STAGE] == stage:
            noted = (name for name in arrays if name.startswith(_SCORES))
            return {name.removeprefix(_SCORES): float(arrays[name]) for name in noted}
    return {}
