"""Training through int8 rounding: what is trained is what the file computes.

Activation maps are rounded to 256 steps between two limits that are themselves learned (LSQ,
Esser et al., "Learned Step Size Quantization", ICLR 2020; with a zero point: LSQ+, Bhalgat et al.,
CVPRW 2020); weights to 255 steps per channel.  Backward the rounding counts as the identity
(straight-through; Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers, ops

from trainer.network.bn_folding import CENTRED, CONVOLUTIONS, FloatArray

Tensor: TypeAlias = Any
Ranges: TypeAlias = Mapping[str, tuple[float, float]]
"""Least and largest value of each rounded map, by the name of its layer; 0 lies between them."""

STEPS = 255.0
_WEIGHT_STEPS = 127.0
_SMALLEST = 1e-6
_ROUNDING = "_int8"
_TRAINED_ON_ITSELF = ("_relu", "_add", "_project_bn", "pool", "embedding_conv")
"""Ends of the names of layers that a network with BatchNorm is rounded after."""


def straight_through(x: Tensor) -> Tensor:
    """`x` rounded to whole numbers, with the gradient of the identity."""
    return x + ops.stop_gradient(ops.round(x) - x)


def rounded_between(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`x` on the 256 steps that int8 has between `low` ≤ 0 and `high` ≥ 0; beyond, it saturates.

    As TFLite does, the limits are moved together by less than a step so that 0 is one of the steps.
    Gradients reach x, low and high.
    """
    step = ops.maximum(high - low, _SMALLEST) / STEPS
    zero = straight_through(-low / step)
    return (ops.clip(straight_through(x / step) + zero, 0.0, STEPS) - zero) * step


def rounded_weights(kernel: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A kernel on the 255 symmetric steps of each channel; `axes` are all but the channel's."""
    largest = ops.max(ops.abs(ops.stop_gradient(kernel)), axis=axes, keepdims=True)
    step = ops.maximum(largest, _SMALLEST) / _WEIGHT_STEPS
    return straight_through(kernel / step) * step


class LearnedRounding(layers.Layer):  # type: ignore[misc]
    """Round a map of any shape between two limits, learned as multiples of where they began."""

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._low, self._high = low, high

    def build(self, _shape: tuple[int, ...]) -> None:
        self.limits = self.add_weight(shape=(2,), initializer="ones", name="limits")

    def call(self, x: Tensor) -> Tensor:
        limits = ops.maximum(self.limits, _SMALLEST)
        return rounded_between(x, self._low * limits[0], self._high * limits[1])

    def learned(self) -> tuple[float, float]:
        """The limits as they are now."""
        limits = np.maximum(ops.convert_to_numpy(self.limits), _SMALLEST)
        return float(self._low * limits[0]), float(self._high * limits[1])


class RoundedConvolution(layers.Layer):  # type: ignore[misc]
    """A folded network's convolution with its kernel rounded per channel.

    The kernel is learned in units of each channel's largest weight and the bias in units of the
    output's range: folded channels differ by factors of thousands, and one learning rate is to
    move all of them by the same part of an int8 step.
    """

    def __init__(self, folded: keras.Layer, range_out: float) -> None:
        super().__init__(name=folded.name)
        kernel, self._bias = folded.get_weights()
        self._depthwise = isinstance(folded, layers.DepthwiseConv2D)
        self._axes = (0, 1, 3) if self._depthwise else (0, 1, 2)
        self._options = {"strides": folded.strides, "padding": folded.padding}
        self._unit = np.maximum(np.abs(kernel).max(self._axes, keepdims=True), _SMALLEST)
        self._start, self._range_out = kernel / self._unit, range_out

    def build(self, _shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=self._start.shape, name="kernel")
        self.kernel.assign(self._start)
        self.shift = self.add_weight(shape=self._bias.shape, initializer="zeros", name="shift")

    def call(self, x: Tensor) -> Tensor:
        convolve = ops.depthwise_conv if self._depthwise else ops.conv
        kernel = rounded_weights(self.kernel, self._axes) * self._unit
        return convolve(x, kernel, **self._options) + (self._bias + self._range_out * self.shift)

    def learned(self) -> list[FloatArray]:
        """Kernel and bias as they are now, not rounded."""
        kernel, shift = (ops.convert_to_numpy(v) for v in (self.kernel, self.shift))
        return [kernel * self._unit, self._bias + self._range_out * shift]


@keras.saving.register_keras_serializable("edge_reid")
class Int8Rounding(layers.Layer):  # type: ignore[misc]
    """Round to 256 steps between the batch's smallest and largest value; any shape, unchanged."""

    def call(self, x: Tensor) -> Tensor:
        return rounded_between(x, ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0))


def rounded(model: keras.Model) -> keras.Model:
    """A network with BatchNorm, sharing all its layers, its maps rounded as each batch needs it."""

    def after(layer: keras.Layer, output: Tensor) -> Tensor:
        return Int8Rounding()(output) if layer.name.endswith(_TRAINED_ON_ITSELF) else output

    return with_rounding(model, lambda layer: layer, after)


def int8_twin(folded: keras.Model, ranges: Ranges) -> keras.Model:
    """A folded network that computes what int8 will, and learns weights and limits at once."""

    def clone(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, CONVOLUTIONS):
            return type(layer).from_config(layer.get_config())
        name = layer.name if layer.name in ranges else relu_name(layer.name)
        low, high = ranges[name]
        return RoundedConvolution(layer, high - low)

    def after(layer: keras.Layer, output: Tensor) -> Tensor:
        if layer.name not in ranges:
            return output
        return LearnedRounding(*ranges[layer.name], name=_rounding_name(layer.name))(output)

    twin = with_rounding(folded, clone, after)
    for layer in twin.layers:
        if layer.weights and not isinstance(layer, RoundedConvolution | LearnedRounding):
            layer.set_weights(folded.get_layer(layer.name).get_weights())
    return twin


def learned(twin: keras.Model, folded: keras.Model) -> Ranges:
    """Copy what a twin has learned into the folded network it was made of; returns its ranges."""
    ranges: dict[str, tuple[float, float]] = {}
    for layer in twin.layers:
        if isinstance(layer, LearnedRounding):
            ranges[layer.name.removesuffix(_ROUNDING)] = layer.learned()
        elif layer.weights:
            values = layer.learned() if isinstance(layer, RoundedConvolution) else None
            folded.get_layer(layer.name).set_weights(values or layer.get_weights())
    return ranges


def rounded_maps(folded: keras.Model) -> tuple[str, ...]:
    """Names of the layers of a folded network whose output is an int8 tensor in the file.

    A convolution with a ReLU behind it is none: the two are one operation there.
    """
    names = [layer.name for layer in folded.layers]
    return tuple(
        layer.name
        for layer in folded.layers
        if not isinstance(layer, layers.InputLayer | layers.Reshape)
        and layer.name != CENTRED
        and not (layer.name.endswith("_conv") and relu_name(layer.name) in names)
    )


def with_rounding(
    model: keras.Model,
    clone: Callable[[keras.Layer], keras.Layer],
    after: Callable[[keras.Layer, Tensor], Tensor],
) -> keras.Model:
    """The network made of `clone` of each layer, with `after` of each layer's output."""

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        return after(layer, layer(*inputs, **options))

    return keras.models.clone_model(model, clone_function=clone, call_function=call)


def copy_weights(origin: keras.Model, target: keras.Model) -> None:
    """Set the layers of `target` from those of the same name in `origin`."""
    own = {layer.name: layer for layer in origin.layers}
    for layer in target.layers:
        if layer.name in own and own[layer.name].weights:
            layer.set_weights(own[layer.name].get_weights())


def relu_name(convolution: str) -> str:
    """Name of the ReLU that a convolution has behind it, if it has one."""
    return convolution.removesuffix("_conv") + "_relu"


def _rounding_name(name: str) -> str:
    return name + _ROUNDING
