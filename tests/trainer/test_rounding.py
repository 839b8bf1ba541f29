"""Training through int8 rounding."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs TensorFlow")

from trainer.rounding import Int8Rounding, rounded  # noqa: E402


def small_network() -> keras.Model:
    image = keras.Input((4, 4, 3))
    x = keras.layers.Add(name="block1_add")([image, image])
    x = keras.layers.Conv2D(5, 1, kernel_initializer="ones", name="embedding_conv")(x)
    return keras.Model(image, keras.layers.Flatten()(x))


def test_rounding_leaves_256_values() -> None:
    x = np.random.default_rng(0).normal(size=(8, 1000)).astype(np.float32)
    y = keras.ops.convert_to_numpy(Int8Rounding()(x))
    assert len(np.unique(y)) <= 256
    assert np.abs(y - x).max() <= (x.max() - x.min()) / 255 / 2 + 1e-6


def test_a_rounded_network_shares_its_weights_with_the_network() -> None:
    network = small_network()
    both = rounded(network)
    assert [v.path for v in both.weights] == [v.path for v in network.weights]
    assert sum(isinstance(layer, Int8Rounding) for layer in both.layers) == 2
    crops = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype(np.float32)
    assert np.allclose(both(crops), network(crops), atol=12.0)  # of values up to 1530


def test_rounding_lets_gradients_through() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    x = tensorflow.Variable([0.1, 0.2, 0.9])
    with tensorflow.GradientTape() as tape:
        total = keras.ops.sum(3.0 * Int8Rounding()(x))
    assert tape.gradient(total, x).numpy().tolist() == [3.0, 3.0, 3.0]
