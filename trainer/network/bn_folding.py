"""A network as its int8 file computes it: BatchNorm inside the convolutions, a bias in each.

A folded network has no state but weights and biases; it is for inference and for training that
leaves statistics alone.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

FloatArray: TypeAlias = npt.NDArray[np.float32]

ZERO_PIXEL = 128.0
"""Pixel value that is 0 after a folded network's first step, and that its border is padded with.
At scale 1 it is a whole number of int8 steps, so that rounding loses nothing of the picture; of
x/127.5 - 1 it loses half a step."""
CENTRED = "centred"
_NORMALISE = "normalise"
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)


@keras.saving.register_keras_serializable("edge_reid")
class Centred(layers.Layer):  # type: ignore[misc]
    """A layer that maps pixels 0..255 to -128..127."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.subtract(x, ZERO_PIXEL)


def fold(embedder: keras.Model) -> keras.Model:
    """A network of the same function without BatchNorm; names are kept, weights are copied.

    Exact but where the padding of the first convolution shows: it is 128 there instead of 127.5.
    """

    def clone(layer: keras.Layer) -> keras.Layer:
        bias = {"use_bias": True} if isinstance(layer, CONVOLUTIONS) else {}
        return type(layer).from_config(layer.get_config() | bias)

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, layers.BatchNormalization):
            return inputs[0]
        if layer.name == _NORMALISE:
            return Centred(name=CENTRED)(inputs[0])
        return layer(*inputs, **options)

    folded = keras.models.clone_model(embedder, clone_function=clone, call_function=call)
    own = {layer.name: layer for layer in embedder.layers}
    for layer in folded.layers:
        if isinstance(layer, CONVOLUTIONS):
            norm = own.get(layer.name.removesuffix("_conv") + "_bn")
            layer.set_weights(_with_norm(own[layer.name], norm))
        elif layer.weights:
            layer.set_weights(own[layer.name].get_weights())
    stem = next(layer for layer in folded.layers if isinstance(layer, CONVOLUTIONS))
    stem.set_weights(_for_pixels(own[_NORMALISE], *stem.get_weights()))
    return folded


def _with_norm(layer: keras.Layer, norm: keras.Layer | None) -> list[FloatArray]:
    """Kernel and bias of a convolution and the BatchNorm behind it.

    γ(Wx + b - μ)/√(σ² + ε) + β = (sW)x + s(b - μ) + β with s = γ/√(σ² + ε).
    """
    kernel, *rest = layer.get_weights()
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    bias = rest[0] if rest else np.zeros(kernel.shape[2 if depthwise else 3], np.float32)
    if norm is None:
        return [kernel, bias]
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return [kernel * (scale[:, None] if depthwise else scale), scale * (bias - mean) + beta]


def _for_pixels(normalise: keras.Layer, kernel: FloatArray, bias: FloatArray) -> list[FloatArray]:
    """The first convolution for x - 128 instead of a·x + c, which is a(x - 128) + 128a + c."""
    constant = normalise.scale * ZERO_PIXEL + normalise.offset
    return [kernel * normalise.scale, bias + constant * kernel.sum((0, 1, 2))]
