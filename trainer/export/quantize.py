"""Keras network → TFLite bytes: int8 with ranges of our own, int16 activations, or float.

All take one crop at a time, uint8 RGB (1, H, W, 3), and give (1, D), so that every precision is
fed by the same preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from trainer.export.quant_ranges import activation_ranges, equalise
from trainer.network.backend import hushed
from trainer.network.bn_folding import CENTRED, fold
from trainer.network.fake_quant import Ranges, copy_weights, rounded_maps, with_rounding
from trainer.network.mirroring import mirrored

Precision: TypeAlias = Literal["int8", "int16x8", "float16", "float32"]
ImageBatch: TypeAlias = npt.NDArray[np.uint8]
Tune: TypeAlias = Callable[[keras.Model, Ranges], Ranges]
"""Changes the weights of a folded network and returns better ranges."""

_MOST_FOR_INT16 = 64
"""Crops that set int16 ranges: 65,536 steps need no care, and its kernels are slow."""
_PIXELS = (0.0, 255.0)
_CENTRED_PIXELS = (-128.0, 127.0)
"""A scale of exactly 1, so that the device copies pixels as they are and none is rounded."""


def to_tflite(
    embedder: keras.Model,
    precision: Precision,
    crops: ImageBatch,
    tune: Tune | None = None,
    *,
    mirror: bool = False,
) -> bytes:
    """Convert a network.

    Args:
        embedder: (B, H, W, 3) RGB 0..255 → (B, D).
        precision: of weights and kernels.
        crops: real ones (N, H, W, 3) RGB uint8, which fix the ranges of activations.
        tune: trains the int8 form further, such as `finetune.fine_tune`.
        mirror: the file is to compute what `mirroring.mirrored` does of the network.
    """
    if precision in {"float16", "float32"}:
        return to_float(mirrored(embedder) if mirror else embedder, precision)
    folded = fold(embedder)
    if precision == "int16x8":
        few = crops[:: max(1, len(crops) // _MOST_FOR_INT16)]
        return to_int16x8(mirrored(folded) if mirror else folded, few)
    equalise(folded, crops)
    ranges = activation_ranges(folded, crops)
    return to_int8(folded, tune(folded, ranges) if tune else ranges, mirror=mirror)


def to_int8(folded: keras.Model, ranges: Ranges, *, mirror: bool = False) -> bytes:
    """Full int8: integer kernels throughout, weights per channel, uint8 in and int8 out.

    The ranges are written into the graph as fake-quantisation, which the converter turns into the
    tensors' scales and zero points: the file computes what `rounding.int8_twin` computes.

    Args:
        folded: (1, H, W, 3) RGB 0..255 → (1, D), of `folding.fold`.
        ranges: of every rounded map.
        mirror: compute the mean of a crop and its mirror image.
    """
    import tensorflow as tf  # noqa: PLC0415 - only the converter needs it

    limits = {**ranges, CENTRED: _CENTRED_PIXELS}

    def fake(low: float, high: float) -> Callable[[Any], Any]:
        return lambda x: tf.quantization.fake_quant_with_min_max_vars(x, low, high)

    def after(layer: keras.Layer, output: Any) -> Any:
        return layers.Lambda(fake(*limits[layer.name]))(output) if layer.name in limits else output

    graph = with_rounding(folded, lambda layer: type(layer).from_config(layer.get_config()), after)
    copy_weights(folded, graph)
    if mirror:
        both = mirrored(graph)
        rows = fake(*ranges[rounded_maps(folded)[-1]])  # which their mean is within, too
        graph = keras.Model(both.input, layers.Lambda(rows)(both.output))
    converter = converter_of(lambda image: graph(fake(*_PIXELS)(image)), folded, tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8
    with hushed():
        return bytes(converter.convert())


def to_int16x8(folded: keras.Model, crops: ImageBatch) -> bytes:
    """int16 activations and int8 weights; `crops` (N, H, W, 3) RGB uint8 set the ranges.

    Slower than int8 and close to float.  Its input is uint8 as everywhere: the cast and the
    quantisation to int16 are the first operations of the graph.
    """
    import tensorflow as tf  # noqa: PLC0415 - only the converter needs it

    converter = converter_of(lambda image: folded(tf.cast(image, tf.float32)), folded, tf.uint8)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([crop[np.newaxis]] for crop in crops)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    with hushed():
        return bytes(converter.convert())


def to_float(embedder: keras.Model, precision: Precision) -> bytes:
    """Float kernels; float16 stores the weights at half the size.  Input is uint8 all the same."""
    import tensorflow as tf  # noqa: PLC0415 - only the converter needs it

    converter = converter_of(lambda image: embedder(tf.cast(image, tf.float32)), embedder, tf.uint8)
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    with hushed():
        return bytes(converter.convert())


def converter_of(embed: Callable[[Any], Any], network: keras.Model, dtype: Any) -> Any:
    """A TFLite converter of `embed`, for one crop at a time of the size that `network` takes."""
    import tensorflow as tf  # noqa: PLC0415
    from tensorflow.python.framework import convert_to_constants  # noqa: PLC0415

    spec = tf.TensorSpec((1, *network.input_shape[1:]), dtype)
    concrete = tf.function(embed, input_signature=[spec]).get_concrete_function()
    # Keras 3 variables reach the calibrator unset unless they are made constants first.
    frozen = convert_to_constants.convert_variables_to_constants_v2(concrete)
    with hushed():
        return tf.lite.TFLiteConverter.from_concrete_functions([frozen])
