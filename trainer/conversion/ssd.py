"""Convert a MobileNetV2-SSD person detector of Open Model Zoo to a full-int8 TFLite file.

    python -m trainer.conversion.ssd person-detection-0201.xml --out models/NAME.tflite
    python -m trainer.conversion.ssd person-detection-0201.xml --side 256 --out near.tflite

The IR is calibrated: its kernels are int8 with a scale per channel, and every map has the range
that Intel measured. The network is written down again, channels last, with exactly these ranges, so
nothing is calibrated here and nothing trained. What TFLite cannot say is folded away, without a
change of what is computed:

- maps before a depthwise convolution have a range per channel, TFLite has one per map: the channel
  is scaled up by the convolution before and down by the depthwise kernel;
- the division of pixels by 255 goes into the first kernel;
- the softmax over person and background is the sigmoid of their difference, which one convolution
  computes at once.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edge_reid.core.errors import EdgeReidError, TrainingError
from edge_reid.core.files import write_whole
from edge_reid.core.manifest import DetectorManifest, write_manifest
from trainer.conversion.openvino_ir import (
    FloatArray,
    IrAnchors,
    IrConvolution,
    read_anchors,
    read_convolutions,
    read_input_side,
)
from trainer.network.operation_network import quantised

Tensor = Any

RELU6 = 6.0
PIXELS = (0.0, 255.0)
BLOCKS = (
    (16, 1),
    *((24, stride) for stride in (2, 1)),
    *((32, stride) for stride in (2, 1, 1)),
    *((64, stride) for stride in (2, 1, 1, 1)),
    *((96, stride) for stride in (1, 1, 1)),
    *((160, stride) for stride in (2, 1, 1)),
    (320, 1),
)
"""MobileNetV2 (Sandler et al., CVPR 2018, table 2): output channels and stride."""
FINE_BLOCK = 12
"""The last block at stride 16, which the heads for small people look at."""
CONVOLUTIONS = 60
PERSON, BACKGROUND = 0, 1
"""Classes of the IR; its DetectionOutput has background_label_id 1."""
COARSEST_STRIDE = 32


@dataclass(frozen=True, slots=True, eq=False)
class SsdWeights:
    """The convolutions of the IR by what they do."""

    backbone: tuple[IrConvolution, ...]
    """The stem, then expansion, depthwise and projection of each block."""
    boxes: tuple[tuple[IrConvolution, IrConvolution], ...]
    """Of each level: depthwise, then offsets (4 an anchor)."""
    scores: tuple[tuple[IrConvolution, IrConvolution], ...]
    """Of each level: depthwise, then the logit of person against background (1 an anchor)."""


def read_weights(path: Path) -> SsdWeights:
    """The weights of an IR, folded for TFLite.

    Raises:
        TrainingError: it is another network.
    """
    found = read_convolutions(path)
    if len(found) != CONVOLUTIONS:
        raise TrainingError(
            f"{path}: expected the {CONVOLUTIONS} convolutions of a MobileNetV2-SSD, got "
            f"{len(found)}; give person-detection-0201 or -0202, FP16-INT8"
        )
    fine_end = 1 + 3 * (FINE_BLOCK + 1)
    backbone = [*found[:fine_end], *found[fine_end + 2 : 54]]
    box_heads = [found[fine_end : fine_end + 2], found[54:56]]
    score_heads = [found[56:58], found[58:60]]
    backbone[0] = replace(backbone[0], kernel=backbone[0].kernel / np.float32(PIXELS[1]))
    for expansion in range(1, len(backbone), 3):
        _share_range(backbone, expansion)
    coarse = [heads[1][0] for heads in (box_heads, score_heads)]
    backbone[-1], coarse = _share_with_heads(backbone[-1], coarse)
    return SsdWeights(
        backbone=tuple(backbone),
        boxes=((box_heads[0][0], box_heads[0][1]), (coarse[0], box_heads[1][1])),
        scores=(
            (score_heads[0][0], _person_logit(score_heads[0][1])),
            (coarse[1], _person_logit(score_heads[1][1])),
        ),
    )


def _share_range(backbone: list[IrConvolution], expansion: int) -> None:
    """Give the map between an expansion and its depthwise convolution one range, in place.

    The IR saturates each channel at its own largest value; scaled to 6, ReLU6 does.
    """
    before, depthwise = backbone[expansion], backbone[expansion + 1]
    _, high = depthwise.input_range
    scale = np.float32(RELU6) / high
    together = np.zeros(1, np.float32), np.full(1, RELU6, np.float32)
    backbone[expansion] = _scaled_up(before, scale, together)
    backbone[expansion + 1] = _scaled_down(depthwise, scale, together)


def _share_with_heads(
    last: IrConvolution, heads: Sequence[IrConvolution]
) -> tuple[IrConvolution, list[IrConvolution]]:
    """The same for the last map, which is linear and read by the heads of the coarse level."""
    low, high = heads[0].input_range
    together = np.min(low / high, keepdims=True), np.ones(1, np.float32)
    scale = 1 / high
    return _scaled_up(last, scale, together), [_scaled_down(h, scale, together) for h in heads]


def _scaled_up(
    convolution: IrConvolution, scale: FloatArray, output_range: tuple[FloatArray, FloatArray]
) -> IrConvolution:
    return replace(
        convolution,
        kernel=convolution.kernel * scale,
        bias=convolution.bias * scale,
        output_range=output_range,
    )


def _scaled_down(
    depthwise: IrConvolution, scale: FloatArray, input_range: tuple[FloatArray, FloatArray]
) -> IrConvolution:
    kernel = depthwise.kernel / scale.reshape(-1, 1)
    return replace(depthwise, kernel=kernel, input_range=input_range)


def _person_logit(convolution: IrConvolution) -> IrConvolution:
    """softmax(person, background) = sigmoid(person - background)."""

    def difference(values: FloatArray) -> FloatArray:
        by_class = values.reshape(*values.shape[:-1], -1, 2)
        return np.asarray(by_class[..., PERSON] - by_class[..., BACKGROUND], np.float32)

    return replace(
        convolution, kernel=difference(convolution.kernel), bias=difference(convolution.bias)
    )


def build_detector(weights: SsdWeights, side_px: int, *, batch: int = 1) -> keras.Model:
    """(B, S, S, 3) BGR 0..255 → raw offsets (B, N, 4) and scores (B, N, 1), N anchors.

    Anchors come level by level, row by row, the smallest of a cell first. It can be trained,
    through the rounding of its maps.
    """
    image = keras.Input(batch_shape=(batch, side_px, side_px, 3), name="image")
    levels = _backbone(quantised(image, *PIXELS), weights.backbone)
    offsets = [_head(x, *head) for x, head in zip(levels, weights.boxes, strict=True)]
    logits = [_head(x, *head) for x, head in zip(levels, weights.scores, strict=True)]
    boxes = ops.concatenate([ops.reshape(x, (batch, -1, 4)) for x in offsets], axis=1)
    scores = ops.sigmoid(ops.concatenate([ops.reshape(x, (batch, -1, 1)) for x in logits], axis=1))
    return keras.Model(image, (boxes, scores), name="ssd_person")


def _backbone(x: Tensor, weights: Sequence[IrConvolution]) -> tuple[Tensor, Tensor]:
    """The maps at strides 16 and 32 that the heads look at."""
    stem, *rest = weights
    x = fine = _convolved(x, stem, relu=layers.ReLU(RELU6))
    for number, (channels, stride) in enumerate(BLOCKS):
        expansion, depthwise, projection, *following = rest[3 * number :]
        shortcut = x
        x = _convolved(x, expansion, relu=layers.ReLU(RELU6))
        x = _convolved(x, depthwise, relu=layers.ReLU(RELU6))
        x = _convolved(x, projection)
        if stride == 1 and shortcut.shape[-1] == channels:
            x = _added(x, shortcut, following[0])
        fine = x if number == FINE_BLOCK else fine
    return fine, x


def _added(x: Tensor, shortcut: Tensor, following: IrConvolution) -> Tensor:
    """A residual; its range is that of whoever reads it next."""
    return quantised(layers.Add()([x, shortcut]), *_limits(following.input_range))


def _head(x: Tensor, depthwise: IrConvolution, last: IrConvolution) -> Tensor:
    """Not quantised at its end: what follows is float."""
    return _convolved(_convolved(x, depthwise, relu=layers.ReLU()), last)


def _convolved(x: Tensor, weights: IrConvolution, *, relu: keras.Layer | None = None) -> Tensor:
    padding = "same"
    if weights.stride > 1:  # "same" would pad an even side at its end; the IR pads its start
        x, padding = layers.ZeroPadding2D(((1, 0), (1, 0)))(x), "valid"
    side, outputs = weights.kernel.shape[0], weights.kernel.shape[3]
    layer = (
        layers.DepthwiseConv2D(side, weights.stride, padding)
        if weights.is_depthwise
        else layers.Conv2D(outputs, side, weights.stride, padding)
    )
    layer.build(x.shape)
    layer.set_weights([weights.kernel, weights.bias])
    x = layer(x)
    x = relu(x) if relu else x
    return quantised(x, *_limits(weights.output_range)) if weights.output_range else x


def _limits(range_: tuple[FloatArray, FloatArray]) -> tuple[float, float]:
    """The one range of a map; raises TrainingError where each channel still has its own."""
    low, high = range_
    if low.size > 1:
        raise TrainingError(
            f"ssd: expected one range for a map, got {low.size}; it is not the network of "
            "person-detection-0201 or -0202"
        )
    return float(low.item()), float(high.item())


def to_tflite(model: keras.Model) -> bytes:
    """The model as a TFLite file: uint8 pixels in, int8 throughout, float32 answers out."""
    signature = tf.TensorSpec(model.input_shape, tf.float32, name="image")
    call: Callable[..., Any] = tf.function(model, input_signature=[signature])
    frozen = convert_variables_to_constants_v2(call.get_concrete_function())  # type: ignore[attr-defined]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    return bytes(converter.convert())


def describe(
    name: str, content: bytes, *, source: str, side_px: int, anchors: Sequence[IrAnchors]
) -> DetectorManifest:
    """The manifest of a converted file.

    Anchors are pixels of the input: at another size there are more or fewer cells, of the same.
    """
    return DetectorManifest(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        input_height_px=side_px,
        input_width_px=side_px,
        licence="Apache-2.0 (Open Model Zoo)",
        source=f"{source} by Intel, FP16-INT8, written down by trainer/conversion/ssd.py",
        decoder="ssd",
        decoder_settings={
            "anchors": [
                {"stride": level.stride, "sizes": [list(size) for size in level.sizes]}
                for level in anchors
            ]
        },
        channel_order="bgr",
        input_dtype="uint8",
        strong_score=0.5,
        weak_score=0.3,
        nms_iou=0.45,
    )


def side(text: str) -> int:
    """Parse the side of a square input in pixels; raises argparse.ArgumentTypeError."""
    if not text.isdecimal() or int(text) % COARSEST_STRIDE or not int(text):
        raise argparse.ArgumentTypeError(
            f"expected a multiple of {COARSEST_STRIDE}, got {text}; say for example 512"
        )
    return int(text)


def main(argv: Sequence[str] | None = None) -> None:
    """Convert person-detection-0201 or -0202 (FP16-INT8) to a full-int8 TFLite file."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.conversion.ssd", description=main.__doc__
    )
    parser.add_argument("ir", type=Path, help="its .xml, with the .bin beside it")
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    parser.add_argument("--side", type=side, help="of the input, in pixels; default: the IR's")
    arguments = parser.parse_args(argv)
    try:
        weights = read_weights(arguments.ir)
        side_px = arguments.side or read_input_side(arguments.ir)
        content = to_tflite(build_detector(weights, side_px))
        write_whole(arguments.out, content)
        described = describe(
            arguments.out.stem,
            content,
            source=arguments.ir.stem,
            side_px=side_px,
            anchors=read_anchors(arguments.ir),
        )
        manifest = write_manifest(described, arguments.out)
    except (EdgeReidError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{arguments.out}: {len(content) / 1e6:.1f} MB, manifest {manifest}")


if __name__ == "__main__":
    main()
