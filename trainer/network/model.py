"""The embedding network of a recipe, at any input size, and its weights on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias
from zipfile import ZipFile

import keras
import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from edge_reid.core.files import UNREADABLE_ZIP
from trainer.files.arrays import BrokenArraysError, read_arrays, write_arrays
from trainer.network import heads
from trainer.network import imagenet_weights as weights
from trainer.network.backbone import BackboneConfig, build_backbone
from trainer.network.operation_network import build_trainable, trained
from trainer.network.operations import Operation
from trainer.network.osnet import POOLING, osnet, resampled_pooling
from trainer.recipe.recipe import RECIPE, Recipe, read_recipe

FloatArray: TypeAlias = npt.NDArray[np.float32]

_POOLING = f"{POOLING}_kernel/kernel"
WEIGHTS = "weights.npz"
"""Of a run: the averaged network, as of its last or best validation (`keep` of its recipe)."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A training run read back: its recipe, and its averaged network at the final size."""

    recipe: Recipe
    embedder: keras.Model

    @property
    def is_osnet(self) -> bool:
        """Whether `operations` say what it computes."""
        return self.recipe.backbone == "osnet"

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What an OSNet computes, one by one, with a copy of all its weights."""
        return trained(_osnet(self.recipe, *self.embedder.input_shape[1:3]), self.embedder)


def load_run(run: Path) -> Run:
    """The network of a run's folder, as it is exported."""
    if not (run / WEIGHTS).is_file():
        raise TrainingError(
            f"run {run}: expected {WEIGHTS} there, got none; train first, or wait for the run's "
            "first validation"
        )
    recipe = read_recipe(run / RECIPE)
    last = recipe.stages[-1]
    embedder = build_embedder(recipe, last.height_px, last.width_px)
    load_weights(embedder, run / WEIGHTS)
    return Run(recipe, embedder)


def build_embedder(recipe: Recipe, height_px: int, width_px: int) -> keras.Model:
    """The recipe's network, weights not loaded: (B, H, W, 3) RGB 0..255 → (B, D)."""
    if recipe.backbone == "osnet":
        return build_trainable(_osnet(recipe, height_px, width_px))
    network = build_backbone(backbone_config(recipe), height_px, width_px)
    return heads.add_embedding(network, recipe.dimension, recipe.pooling)


def _osnet(recipe: Recipe, height_px: int, width_px: int) -> tuple[Operation, ...]:
    return osnet(recipe.alpha, recipe.dimension, height_px, width_px)


def backbone_config(recipe: Recipe) -> BackboneConfig:
    """What the recipe says about the backbone."""
    return BackboneConfig(recipe.alpha, recipe.last_stride, recipe.backbone)


def load_start(embedder: keras.Model, recipe: Recipe) -> None:
    """The weights a run begins with: a re-ID checkpoint, a local ImageNet file, or a download."""
    if recipe.start_from is not None:
        load_weights(embedder, recipe.start_from)
    else:
        weights.load_imagenet(embedder, backbone_config(recipe), recipe.imagenet)


def weights_by_name(model: keras.Model) -> dict[str, FloatArray]:
    """Every variable of a model as float32, keyed `layer/variable`."""
    return {
        f"{layer.name}/{variable.name}": np.asarray(keras.ops.convert_to_numpy(variable))
        for layer in model.layers
        for variable in layer.weights
    }


def save_weights(model: keras.Model, path: Path, dtype: str = "float32") -> None:
    """Write the weights as `.npz`, whole or not at all; float16 halves the size."""
    write_arrays(path, {n: w.astype(dtype) for n, w in weights_by_name(model).items()})


def is_weights(file: BinaryIO) -> bool:
    """Whether a file, open at its first byte, is one of `save_weights`, by the names in it."""
    try:
        with ZipFile(file) as arrays:
            names = arrays.namelist()
    except UNREADABLE_ZIP:
        return False
    return bool(names) and all("/" in name and name.endswith(".npy") for name in names)


def load_weights(model: keras.Model, path: Path) -> None:
    """Set a model's weights from `save_weights`' file, for any input size."""
    if not path.is_file():
        raise TrainingError(f"weights {path}: no such file; train first, or give a run's folder")
    try:
        values = read_arrays(path)
    except BrokenArraysError as error:
        raise TrainingError(
            f"weights {path}: expected the weights of a run, got a damaged file or another kind "
            f"({error}); put a copy of it back, or fetch it again (a Git LFS pointer is none)"
        ) from error
    set_weights_by_name(model, values, str(path))


def set_weights_by_name(model: keras.Model, values: dict[str, FloatArray], origin: str) -> None:
    """Set every variable of `model`; a missing name or another shape is an error.

    But what pools the map of an OSNet by learnt weights is resampled for a crop of another size.
    """
    for layer in model.layers:
        for variable in layer.weights:
            name = f"{layer.name}/{variable.name}"
            if name == _POOLING and name in values:
                values = values | {name: resampled_pooling(values[name], *variable.shape[-2:])}
            if name not in values or values[name].shape != tuple(variable.shape):
                found = values[name].shape if name in values else "nothing"
                raise TrainingError(
                    f"weights {origin}: expected {name} of shape {tuple(variable.shape)}, got "
                    f"{found}; it belongs to another architecture"
                )
            variable.assign(values[name].astype(np.float32))
