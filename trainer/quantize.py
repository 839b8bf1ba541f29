"""Keras network → TFLite bytes: full int8 with calibration, or float."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from trainer.quiet import hushed

Precision: TypeAlias = Literal["int8", "float16", "float32"]
ImageBatch: TypeAlias = npt.NDArray[np.uint8]


def to_tflite(embedder: keras.Model, precision: Precision, calibration: ImageBatch) -> bytes:
    """Convert the network for one crop at a time: uint8 RGB (1, H, W, 3) in, (1, D) out.

    int8 means integer kernels throughout, weights per channel, and an int8 output; BatchNorm is
    folded into the convolutions by the converter.  The float forms also take uint8: the cast is
    in the graph, so that every precision is fed by the same preprocessing.

    Args:
        embedder: (B, H, W, 3) RGB 0..255 → (B, D).
        precision: of weights and kernels.
        calibration: real crops (N, H, W, 3) RGB uint8, which fix the ranges of activations.
    """
    import tensorflow as tf  # noqa: PLC0415 - only the converter needs it
    from tensorflow.python.framework import convert_to_constants  # noqa: PLC0415

    height, width = embedder.input_shape[1:3]
    quantised = precision == "int8"

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec((1, height, width, 3), tf.float32 if quantised else tf.uint8)
        ]
    )
    def embed(image: tf.Tensor) -> tf.Tensor:
        return embedder(tf.cast(image, tf.float32), training=False)

    # Keras 3 variables reach the calibrator unset unless they are made constants first.
    frozen = convert_to_constants.convert_variables_to_constants_v2(embed.get_concrete_function())
    with hushed():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantised:
        converter.representative_dataset = lambda: _one_by_one(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.int8
    with hushed():
        return bytes(converter.convert())


def _one_by_one(calibration: ImageBatch) -> Iterator[list[npt.NDArray[np.float32]]]:
    for crop in calibration:
        image = crop[np.newaxis].astype(np.float32)
        # A black and a white pixel pin the input's range to 0..255, so that its scale is exactly
        # 1 and the device can copy pixels as they are.
        image[0, 0, :2] = [[0.0], [255.0]]
        yield [image]


def stratified(labels: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices of about `count` pictures, spread over as many identities as possible."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    turn = np.zeros(len(labels), np.int64)
    seen: dict[int, int] = {}
    for index in order:
        turn[index] = seen.get(int(labels[index]), 0)
        seen[int(labels[index])] = int(turn[index]) + 1
    return np.sort(order[np.argsort(turn[order], kind="stable")][:count])


def write_whole(content: bytes, path: Path) -> None:
    """Write a file under a passing name and rename it, so that it is whole or not there."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
