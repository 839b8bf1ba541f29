"""A network with everything int8 has to do with, small enough to build and convert in a second."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

HEIGHT_PX, WIDTH_PX, DIMENSION = 32, 16, 12


def small_network() -> keras.Model:
    """Stem, one inverted residual block and embedding, named as in trainer.network.backbone.

    Its BatchNorm statistics are those of a network that has lived.
    """
    keras.utils.set_random_seed(0)
    image = keras.Input((HEIGHT_PX, WIDTH_PX, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(image)
    entry = x = _conv(x, layers.Conv2D, "stem", filters=8, kernel_size=3, strides=2)
    x = _conv(x, layers.Conv2D, "block1_expand", filters=24, kernel_size=1)
    x = _conv(x, layers.DepthwiseConv2D, "block1_depthwise", kernel_size=3)
    x = _conv(x, layers.Conv2D, "block1_project", relu=False, filters=8, kernel_size=1)
    x = layers.Add(name="block1_add")([entry, x])
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = layers.Conv2D(DIMENSION, 1, name="embedding_conv")(x)
    network = keras.Model(image, layers.Reshape((DIMENSION,), name="embedding")(x))
    _let_live(network)
    return network


def random_crops(count: int) -> np.ndarray:
    """Noise on grey levels of their own: (N, H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    level = rng.integers(40, 200, (count, 1, 1, 3))
    noise = rng.integers(-40, 40, (count, HEIGHT_PX, WIDTH_PX, 3))
    return (level + noise).astype(np.uint8)


def embed(network: keras.Model, crops: np.ndarray) -> np.ndarray:
    """Unit rows (N, D)."""
    rows = keras.ops.convert_to_numpy(network.predict_on_batch(crops.astype(np.float32)))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _conv(x: Any, kind: Any, name: str, *, relu: bool = True, **options: Any) -> Any:
    x = kind(padding="same", use_bias=False, name=f"{name}_conv", **options)(x)
    x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _let_live(network: keras.Model) -> None:
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.get_weights()[0].shape
            scales = rng.uniform(0.3, 3.0, size), rng.normal(0.3, 0.5, size)
            layer.set_weights([*scales, rng.normal(0, 0.1, size), rng.uniform(0.02, 0.2, size)])
