"""What int8 gets from float before anything is trained: ranges, free scalings, fair samples."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs TensorFlow")

from support.small_networks import random_crops, small_network  # noqa: E402

from trainer.export.quant_ranges import activation_ranges, equalise, stratified  # noqa: E402
from trainer.network.bn_folding import fold  # noqa: E402

CROPS = random_crops(12)


def numbers(network: keras.Model) -> np.ndarray:
    return keras.ops.convert_to_numpy(network.predict_on_batch(CROPS.astype(np.float32)))


def test_a_folded_network_answers_as_the_one_it_came_from() -> None:
    network = small_network()
    folded = fold(network)
    assert not any(isinstance(e, keras.layers.BatchNormalization) for e in folded.layers)
    found, expected = numbers(folded), numbers(network)
    # The padding of the first convolution is half a grey level brighter.
    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()


def test_equalised_channels_use_the_whole_range_and_nothing_else_changes() -> None:
    folded = fold(small_network())
    before = numbers(folded)
    relu = folded.get_layer("block1_expand_relu").output
    depthwise = folded.get_layer("block1_depthwise_conv").output
    watched = keras.Model(folded.input, [relu, depthwise])
    _, map_before = watched.predict_on_batch(CROPS.astype(np.float32))
    equalise(folded, CROPS)
    relu_after, map_after = watched.predict_on_batch(CROPS.astype(np.float32))
    peaks = relu_after.max(axis=(0, 1, 2))
    assert np.all((np.abs(peaks - 6.0) < 1e-3) | (peaks == 0.0))
    assert np.allclose(map_after, map_before, atol=1e-3)
    assert np.allclose(numbers(folded), before, atol=1e-3 * np.abs(before).max())


def test_a_rare_crop_with_wild_activations_does_not_set_the_ranges() -> None:
    """Brightness above 200 is answered a hundredfold; one crop in twenty is that bright."""
    image = keras.Input((8, 4, 3))
    wild = keras.layers.Lambda(lambda x: x + 100.0 * keras.ops.relu(x - 200.0), name="wild")(image)
    network = keras.Model(image, wild)
    crops = np.full((20, 8, 4, 3), 120, np.uint8)
    crops[7] = 255
    low, high = activation_ranges(network, crops)["wild"]
    assert (low, high) == (0.0, 120.0)


def test_calibration_crops_are_spread_over_people_and_over_their_cameras() -> None:
    labels = np.repeat([0, 1, 2], [40, 4, 4])
    cameras = np.concatenate([[0] * 36, [1] * 4, [0, 0, 0, 1], [0, 0, 1, 2]])
    chosen = stratified(labels, 6, seed=3, cameras=cameras)
    for person in range(3):
        seen = cameras[chosen[labels[chosen] == person]]
        assert len(seen) == 2
        assert len(set(seen)) == 2
