"""A small generated data set, and a network small enough to train on it in seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from trainer.recipe.recipe import DataSource, Recipe, Stage

SIZE = {"height_px": 64, "width_px": 32, "warmup_steps": 2}
FROZEN = Stage(**SIZE, epochs=2, frozen_blocks=18, learning_rate=1e-2)
FREE = Stage(**SIZE, epochs=2, frozen_blocks=2, learning_rate=3e-3)
SHORT_BLOCKS = 4
"""Of MobileNetV2's 17: with and without expansion, shortcut and stride."""
SHORTEN = (
    f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); "
    "from support.small_runs import shorten_networks; shorten_networks()"
)
"""What a process of its own runs first, to build the network that a test of `recipe` does."""


def shorten_networks() -> None:
    """Have this process build the first blocks of a MobileNetV2, and no more.

    Most of a small run is the tracing of its graph, which takes as long as there are layers.
    """
    from trainer.network.backend import start_backend

    start_backend()
    from trainer.network.backbone import BLOCKS

    BLOCKS["mobilenetv2"] = BLOCKS["mobilenetv2"][:SHORT_BLOCKS]


def draw_people(folder: Path, identities: int = 12, images: int = 6) -> Path:
    """People in coats and trousers of their own, seen by two cameras of different light."""
    rng = np.random.default_rng(len(folder.name))
    folder.mkdir()
    for person in range(identities):
        coat, trousers = rng.integers(0, 256, (2, 3))
        for shot in range(images):
            camera = shot % 2 + 1
            crop = np.full((96, 48, 3), 120 + 20 * camera, np.int64)
            crop[20:55, 12:36] = coat
            crop[55:90, 14:34] = trousers
            crop += rng.integers(-25, 25, crop.shape)
            file = folder / f"{person + 1:04d}_c{camera}s1_{shot:06d}_00.jpg"
            cv2.imwrite(str(file), np.clip(crop, 0, 255).astype(np.uint8))
    return folder


def small_recipe(people: Path, start: Path, *stages: Stage) -> Recipe:
    """A thin network that starts from stored random weights, which already tell colours apart."""
    import keras

    from trainer.data.decoded_crops import load_crops
    from trainer.network.model import build_embedder, save_weights

    made = Recipe(
        sources=(DataSource(path=people, terms="generated, free"),),
        stages=stages,
        start_from=start,
        alpha=0.35,
        dimension=16,
        hold_out=4,
        identities_per_batch=4,
        images_per_identity=3,
        ema=0.5,
        evaluate_every=1000,
    )
    keras.utils.set_random_seed(0)
    network = build_embedder(made, 64, 32)
    # Without the statistics of some pictures, maps fade from layer to layer to nothing.
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(load_crops(sorted(people.iterdir())[::2], 64, 32).astype(np.float32), training=True)
    save_weights(network, start)
    return made
