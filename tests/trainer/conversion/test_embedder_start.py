"""What a detector's backbone computes stays what it is when an embedder starts from it."""

from __future__ import annotations

import numpy as np
import pytest

start = pytest.importorskip("trainer.conversion.embedder_start", reason="needs TensorFlow")

import keras  # noqa: E402

from trainer.conversion.openvino_ir import IrConvolution  # noqa: E402
from trainer.network.backbone import BackboneConfig, build_backbone  # noqa: E402

pytestmark = pytest.mark.trainer

RNG = np.random.default_rng(7)
CROPS = RNG.integers(0, 256, (16, 64, 32, 3), np.uint8)
RANGE = np.zeros(1, np.float32), np.ones(1, np.float32)


def convolution(kernel: np.ndarray, bias: np.ndarray) -> IrConvolution:
    return IrConvolution(kernel, bias, 2, False, RANGE, None)


@pytest.mark.parametrize("training", [False, True])
def test_a_restored_norm_gives_the_convolution_and_its_bias(training: bool) -> None:
    backbone = build_backbone(BackboneConfig(alpha=0.35), 64, 32)
    bias = RNG.normal(size=16).astype(np.float32)
    start.restore_norm(backbone, "stem", CROPS, bias)
    map_of = keras.Model(backbone.input, backbone.get_layer("stem_conv").output)(CROPS)
    got = backbone.get_layer("stem_bn")(map_of, training=training)
    assert np.asarray(got) == pytest.approx(np.asarray(map_of) + bias, abs=2e-3)


def test_two_convolutions_that_nothing_clips_between_become_the_one_they_are() -> None:
    stem = convolution(
        RNG.uniform(-0.05, 0.05, (3, 3, 3, 8)).astype(np.float32), np.full(8, 3, np.float32)
    )
    wide = convolution(
        RNG.normal(size=(1, 1, 8, 8)).astype(np.float32), RNG.normal(size=8).astype(np.float32)
    )
    merged = start.merged_convolution(stem, wide, CROPS)
    assert merged.kernel == pytest.approx(stem.kernel @ wide.kernel[0, 0], abs=1e-3)
    assert merged.bias == pytest.approx(stem.bias @ wide.kernel[0, 0] + wide.bias, abs=1e-3)
