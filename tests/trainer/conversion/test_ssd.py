"""What is folded away between a calibrated IR and TFLite changes nothing that is computed."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino")
ssd = pytest.importorskip("trainer.conversion.ssd", reason="needs TensorFlow")

import keras  # noqa: E402
import openvino  # noqa: E402
from openvino import opset8  # noqa: E402

from edge_reid.core.errors import TrainingError  # noqa: E402
from trainer.conversion.openvino_ir import (  # noqa: E402
    IrConvolution,
    read_anchors,
    read_convolutions,
    read_input_side,
)

pytestmark = pytest.mark.trainer

RNG = np.random.default_rng(4)


def write_ir(path: Path, *, calibrated: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A stride-2 convolution of 3 channels into 4, as Open Model Zoo stores it; kernel and bias."""
    image = opset8.parameter([1, 3, 8, 8], np.float32)
    numbers = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scale = RNG.uniform(0.01, 0.1, (4, 1, 1, 1)).astype(np.float32)
    kernel = opset8.multiply(
        opset8.convert(opset8.constant(numbers), "f32"), opset8.constant(scale)
    )
    limits = [opset8.constant(np.float32(value)) for value in (-1.0, 2.0, -1.0, 2.0)]
    fed = opset8.fake_quantize(image, *limits, 256) if calibrated else image
    x = opset8.convolution(fed, kernel, [2, 2], [1, 1], [1, 1], [1, 1])
    bias = RNG.normal(size=(1, 4, 1, 1)).astype(np.float32)
    x = opset8.clamp(opset8.add(x, opset8.constant(bias)), 0.0, 6.0)
    out = [opset8.constant(np.float32(value)) for value in (0.0, 3.5, 0.0, 3.5)]
    openvino.save_model(
        openvino.Model([opset8.fake_quantize(x, *out, 256)], [image], "net"),
        path,
        compress_to_fp16=False,
    )
    return numbers * scale, bias.ravel()


def test_an_ir_is_read_as_openvino_means_it(tmp_path: Path) -> None:
    kernel, bias = write_ir(tmp_path / "net.xml")
    (found,) = read_convolutions(tmp_path / "net.xml")
    assert found.kernel == pytest.approx(kernel.transpose(2, 3, 1, 0))
    assert found.bias == pytest.approx(bias)
    assert (found.stride, found.is_depthwise) == (2, False)
    assert [float(limit.item()) for limit in found.input_range] == [-1.0, 2.0]
    assert found.output_range is not None
    assert [float(limit.item()) for limit in found.output_range] == [0.0, 3.5]


def test_an_ir_that_is_not_calibrated_is_refused(tmp_path: Path) -> None:
    write_ir(tmp_path / "net.xml", calibrated=False)
    with pytest.raises(TrainingError, match="expected a calibrated IR"):
        read_convolutions(tmp_path / "net.xml")
    with pytest.raises(TrainingError, match="expected an OpenVINO IR with its .bin beside it"):
        read_convolutions(tmp_path / "nothing.xml")


def test_the_anchors_and_the_size_are_those_of_the_ir(tmp_path: Path) -> None:
    image = opset8.parameter([1, 3, 64, 64], np.float32, name="image")
    settings = {
        "width": [6.0, 12.5],
        "height": [19.0, 39.0],
        "clip": False,
        "step": 16.0,
        "offset": 0.5,
        "variance": [0.1, 0.1, 0.2, 0.2],
    }
    cells, whole = (opset8.constant(np.array([side] * 2, np.int64)) for side in (4, 64))
    anchors = opset8.prior_box_clustered(cells, whole, settings)
    path = tmp_path / "net.xml"
    openvino.save_model(openvino.Model([anchors, image], [image], "net"), path)
    (level,) = read_anchors(path)
    assert (level.stride, level.sizes) == (16, ((6.0, 19.0), (12.5, 39.0)))
    assert read_input_side(path) == 64


@pytest.mark.parametrize("text", ["", "100", "0", "-32", "32x32"])
def test_a_side_that_has_no_whole_cells_is_refused(text: str) -> None:
    assert ssd.side("640") == 640
    with pytest.raises(argparse.ArgumentTypeError, match="expected a multiple of 32"):
        ssd.side(text)


def pair(channels: int = 5) -> list[IrConvolution]:
    """Something, an expansion and its depthwise convolution, whose map has a range per channel."""
    high = RNG.uniform(0.3, 2.0, channels).astype(np.float32)
    whole = np.zeros(1, np.float32), np.full(1, 4.0, np.float32)
    each = np.zeros(channels, np.float32), high
    return [
        IrConvolution(
            RNG.normal(size=(1, 1, 3, channels)).astype(np.float32),
            RNG.normal(size=channels).astype(np.float32),
            1,
            is_depthwise=False,
            input_range=whole,
            output_range=each,
        ),
        IrConvolution(
            RNG.normal(size=(3, 3, channels, 1)).astype(np.float32),
            np.zeros(channels, np.float32),
            1,
            is_depthwise=True,
            input_range=each,
            output_range=whole,
        ),
    ]


def depthwise_of(x: np.ndarray, convolution: IrConvolution) -> np.ndarray:
    return np.asarray(keras.ops.depthwise_conv(x, convolution.kernel, 1, "same"))


def test_a_range_per_channel_becomes_one_for_the_map() -> None:
    """Each channel saturates where the IR saturates it, and the depthwise sums stay the same."""
    before = pair()
    after = [before[0], *before]
    ssd._share_range(after, 1)
    image = RNG.uniform(0, 4, (1, 6, 6, 3)).astype(np.float32)
    _, high = before[1].input_range
    theirs = np.clip(image @ before[0].kernel[0, 0] + before[0].bias, 0, high)
    ours = np.clip(image @ after[1].kernel[0, 0] + after[1].bias, 0, ssd.RELU6)
    assert after[2].input_range[1].size == 1
    assert depthwise_of(ours, after[2]) == pytest.approx(depthwise_of(theirs, before[1]), abs=1e-4)


def test_the_softmax_of_two_classes_is_a_sigmoid_of_their_difference() -> None:
    classes = replace(pair()[0], kernel=RNG.normal(size=(1, 1, 3, 8)).astype(np.float32))
    classes = replace(classes, bias=RNG.normal(size=8).astype(np.float32))
    one = ssd._person_logit(classes)
    features = RNG.normal(size=(7, 3)).astype(np.float32)
    both = (features @ classes.kernel[0, 0] + classes.bias).reshape(7, 4, 2)
    softmax = np.exp(both[..., 0]) / np.exp(both).sum(axis=-1)
    logits = features @ one.kernel[0, 0] + one.bias
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(softmax, abs=1e-5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    write_ir(tmp_path / "net.xml")
    with pytest.raises(TrainingError, match="expected the 60 convolutions .*, got 1; give person"):
        ssd.read_weights(tmp_path / "net.xml")
