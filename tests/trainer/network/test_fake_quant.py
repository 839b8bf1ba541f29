"""Training through int8 rounding, and that the file computes what was trained."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
keras = pytest.importorskip("keras", reason="needs TensorFlow")

from support.small_networks import embed, random_crops, small_network  # noqa: E402

from trainer.export import qat  # noqa: E402
from trainer.export.quant_ranges import activation_ranges, equalise  # noqa: E402
from trainer.network.bn_folding import fold  # noqa: E402
from trainer.network.fake_quant import (  # noqa: E402
    Int8Rounding,
    LearnedRounding,
    int8_twin,
    learned,
    rounded,
    rounded_between,
    rounded_weights,
)
from trainer.recipe.augment_settings import AugmentConfig  # noqa: E402

CROPS = random_crops(32)


def lost(network: keras.Model, expected: np.ndarray) -> float:
    """Mean of 1 - cosine."""
    return float(np.mean(1.0 - np.sum(embed(network, CROPS) * expected, axis=1)))


def test_rounding_is_to_256_steps_one_of_which_is_0() -> None:
    x = np.random.default_rng(0).uniform(-3.0, 5.0, 5000).astype(np.float32)
    y = keras.ops.convert_to_numpy(rounded_between(x, -1.0, 3.0))
    step = 4.0 / 255
    zero = np.round(1.0 / step)
    assert np.allclose(y, (np.clip(np.round(x / step) + zero, 0, 255) - zero) * step, atol=1e-6)
    assert len(np.unique(y)) == 256
    assert keras.ops.convert_to_numpy(rounded_between(np.zeros(1, np.float32), -1.0, 3.0)) == 0.0


def test_weights_are_rounded_to_255_steps_of_each_channels_largest() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 2)).astype(np.float32)
    kernel[..., 1] *= 1000.0
    found = keras.ops.convert_to_numpy(rounded_weights(kernel, (0, 1, 2)))
    for channel in range(2):
        step = np.abs(kernel[..., channel]).max() / 127
        expected = np.round(kernel[..., channel] / step) * step
        assert np.allclose(found[..., channel], expected, rtol=1e-5)


def test_gradients_reach_what_is_rounded_and_the_limits_it_is_rounded_between() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    x, low, high = (tensorflow.Variable(v) for v in ([-9.0, 0.1, 9.0], -1.0, 2.0))
    with tensorflow.GradientTape() as tape:
        total = keras.ops.sum(rounded_between(x, low, high))
    of_x, of_low, of_high = tape.gradient(total, [x, low, high])
    assert of_x.numpy().tolist() == [0.0, 1.0, 0.0]  # what saturates does not move
    assert float(of_low) == pytest.approx(1.0, abs=0.05)  # it moves the limit instead
    assert float(of_high) == pytest.approx(1.0, abs=0.05)


def test_a_rounded_network_shares_its_weights_with_the_network() -> None:
    network = small_network()
    both = rounded(network)
    assert [v.path for v in both.weights] == [v.path for v in network.weights]
    assert any(isinstance(layer, Int8Rounding) for layer in both.layers)
    assert lost(both, embed(network, CROPS)) < 0.1


def test_the_file_computes_what_its_twin_does(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="the converter is TensorFlow's")
    from edge_reid.vision.runtime import Model
    from trainer.export.operators import read_operators
    from trainer.export.quantize import to_int8

    folded = fold(small_network())
    equalise(folded, CROPS)
    ranges = activation_ranges(folded, CROPS)
    content = to_int8(folded, ranges)
    (tmp_path / "net.tflite").write_bytes(content)
    model = Model(tmp_path / "net.tflite")

    low, high = ranges["embedding_conv"]
    assert (model.inputs[0].scale, model.inputs[0].zero_point) == (1.0, 0)
    assert model.outputs[0].scale == pytest.approx((high - low) / 255, rel=1e-4)
    assert not read_operators(content).other

    rows = np.concatenate([model(crop[np.newaxis])[0] for crop in CROPS])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    of_twin = np.sum(rows * embed(int8_twin(folded, ranges), CROPS), axis=1)
    assert of_twin.min() > 0.995
    assert np.mean(1.0 - of_twin) < 0.5 * lost(int8_twin(folded, ranges), embed(folded, CROPS))


def test_fine_tuning_brings_the_twin_nearer_to_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # By time of the processor: on a busy machine it learns no less.
    monkeypatch.setattr(qat, "time", SimpleNamespace(monotonic=time.process_time))
    folded = fold(small_network())
    expected = embed(folded, CROPS)
    # Ranges of a third saturate much; that is what training has to live with, or to undo.
    tight = {n: (a / 3, b / 3) for n, (a, b) in activation_ranges(folded, CROPS).items()}
    before = lost(int8_twin(folded, tight), expected)
    still = AugmentConfig(flip=0, shift=0, erase=0, contrast=0, brightness=0)
    ranges = qat.fine_tune(folded, tight, CROPS, minutes=0.02, changes=still, seed=1)
    assert lost(int8_twin(folded, ranges), expected) < 0.9 * before
    assert ranges.keys() == tight.keys()


def test_what_a_twin_has_learned_goes_back_into_the_network() -> None:
    folded = fold(small_network())
    twin = int8_twin(folded, activation_ranges(folded, CROPS))
    twin.get_layer("block1_expand_conv").shift.assign_add([1.0] * 24)
    (rounding,) = (e for e in twin.layers if e.name == "pool_int8")
    assert isinstance(rounding, LearnedRounding)
    rounding.limits.assign([1.0, 2.0])
    before = folded.get_layer("block1_expand_conv").get_weights()[1]
    high_before = rounding.learned()[1] / 2.0
    ranges = learned(twin, folded)
    low, high = ranges["block1_expand_relu"]
    after = folded.get_layer("block1_expand_conv").get_weights()[1]
    assert np.allclose(after - before, high - low, rtol=1e-4)
    assert ranges["pool"][1] == pytest.approx(2.0 * high_before)
