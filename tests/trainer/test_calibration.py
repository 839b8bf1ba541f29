"""A rare pattern that the network answers wildly must not set the ranges of everybody."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from trainer.calibration import ordinary_crops

pytestmark = pytest.mark.trainer


def network() -> keras.Model:
    """Answers with the mean brightness, and a hundredfold above 200."""
    image = keras.Input((8, 4, 3))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    wild = keras.layers.Lambda(lambda x: 100.0 * keras.ops.relu(x - 200.0))(mean)
    return keras.Model(image, keras.layers.Add(name="block_add")([mean, wild]))


def test_crops_with_wild_activations_are_left_out_and_the_rest_keep_their_order():
    brightness = np.array([90, 255, 100, 110, 250, 120, 95], np.uint8)
    crops = np.broadcast_to(brightness[:, None, None, None], (7, 8, 4, 3))
    kept = ordinary_crops(network(), crops)
    assert kept[:, 0, 0, 0].tolist() == [90, 100, 110, 120, 95]


def test_ordinary_crops_are_all_kept():
    crops = np.random.default_rng(0).integers(60, 160, (20, 8, 4, 3), dtype=np.uint8)
    assert len(ordinary_crops(network(), crops)) == 20
