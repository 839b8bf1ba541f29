"""What the operations of an IR compute, as a Keras network, channels last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from edge_reid.core.errors import TrainingError
from trainer.conversion.ir_operations import CONVOLUTIONS, Operation
from trainer.network.fake_quant import Ranges

Tensor: TypeAlias = Any

_SPATIAL = (1, 2)
_BGR_TO_RGB = (2, 1, 0)
_WIDE_ENOUGH = 128
"""Values side by side from which on kernels for each value are at their full speed."""


def build_network(
    operations: Sequence[Operation],
    *,
    batch: int | None = None,
    ranges: Ranges | None = None,
) -> keras.Model:
    """(B, H, W, 3) RGB 0..255 → what the IR gives for the same picture in BGR.

    Args:
        operations: of an IR.
        batch: how many pictures at once; None: any number.
        ranges: of the operations whose output is rounded; the others stay float.

    Every operation ends with a layer of its name.

    Raises:
        TrainingError: an operation is not known here.
    """
    writer = _Writer(batch, frozenset(each.name for each in operations if each.relu))
    for operation in operations:
        value = writer.write(operation)
        if ranges and operation.name in ranges:
            value = quantised(value, *ranges[operation.name])
        writer.values[operation.name] = value
    first, last = operations[0].name, operations[-1].name
    return keras.Model(writer.values[first], writer.values[last])


def quantised(x: Tensor, low: float, high: float) -> Tensor:
    """Where the converter takes the scale and zero point of a map from."""

    def fake(values: Tensor) -> Tensor:
        return tf.quantization.fake_quant_with_min_max_vars(values, low, high)

    return layers.Lambda(fake)(x)


@dataclass(frozen=True, slots=True, eq=False)
class _Writer:
    batch: int | None
    from_zero_on: frozenset[str]
    """Operations that give nothing below 0."""
    values: dict[str, Tensor] = field(default_factory=dict)

    def write(self, operation: Operation) -> Tensor:
        if operation.kind == "Parameter":
            return keras.Input(batch_shape=(self.batch, *operation.shape[1:]), name="image")
        sources = [self.values[source] for source in operation.sources]
        value = self._computed(operation, *sources)
        if operation.kind not in {*CONVOLUTIONS, "MVN"}:
            value = _scaled(value, operation)
        value = layers.ReLU()(value) if operation.relu else value
        return layers.Identity(name=layer_name(operation.name))(value)

    def _computed(self, operation: Operation, *sources: Tensor) -> Tensor:
        compute = _KINDS.get(operation.kind)
        if compute is None:
            raise TrainingError(
                f"IR: expected operations of a network like person-reidentification-retail-0277, "
                f"got {operation.kind} {operation.name}"
            )
        _check_settings(operation)
        if operation.kind in _OF_TWO and len(sources) == 1:
            raise _other(operation, "a constant")  # that nothing before it can take in
        if operation.kind == "MaxPool" and operation.sources[0] not in self.from_zero_on:
            raise _other(operation, "values below 0")  # which the zeros around them would exceed
        value = compute(operation, *sources)
        if tuple(value.shape[1:]) != operation.shape[1:]:
            raise _other(operation, f"a result of {operation.shape}")
        return value


def layer_name(operation: str) -> str:
    """The layer that gives what an operation of this name gives."""
    return f"op{operation}"


def _scaled(x: Tensor, operation: Operation) -> Tensor:
    x = x if operation.scale is None else x * operation.scale
    return x if operation.shift is None else x + operation.shift


def _reversed_channels(operation: Operation, x: Tensor) -> Tensor:
    """The IR takes BGR and turns it into RGB; we give it RGB at once."""
    if tuple(operation.constants[0].ravel()) != _BGR_TO_RGB:
        raise TrainingError(
            f"IR: expected a network that turns BGR into RGB first, got "
            f"{operation.kind} {operation.name} of other indices"
        )
    return x


def _convolution(operation: Operation, x: Tensor) -> Tensor:
    if not operation.is_map:
        return _convolution_to_one(operation, x)
    kernel = operation.constants[0]
    depthwise = operation.kind == "GroupConvolution"
    if depthwise and kernel.shape[1:3] != (1, 1):
        raise _other(operation, "groups of several channels")
    kernel = kernel[:, 0].transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
    if operation.scale is not None:
        kernel = kernel * (operation.scale[:, None] if depthwise else operation.scale)
    stride, pad = (int(operation.settings[key].split(",")[0]) for key in ("strides", "pads_begin"))
    if stride > 1 and pad:  # "same" would pad an even side at its end alone
        x = layers.ZeroPadding2D(pad)(x)
    options: dict[str, Any] = {
        "strides": stride,
        "padding": "same" if stride == 1 and pad else "valid",
        "use_bias": operation.shift is not None,
    }
    layer = (
        layers.DepthwiseConv2D(kernel.shape[:2], **options)
        if depthwise
        else layers.Conv2D(kernel.shape[3], kernel.shape[:2], **options)
    )
    layer.build(x.shape)
    layer.set_weights([kernel] if operation.shift is None else [kernel, operation.shift])
    return layer(x)


def _convolution_to_one(operation: Operation, x: Tensor) -> Tensor:
    """A convolution that leaves one value a channel: float, as few as they are."""
    kernel = operation.constants[0]
    if operation.kind == "GroupConvolution":
        x = ops.sum(x * kernel[:, 0, 0].transpose(1, 2, 0), _SPATIAL, keepdims=True)
    else:
        x = ops.matmul(x, kernel[:, :, 0, 0].T)
    return _scaled(x, operation)


def _normalised(operation: Operation, x: Tensor) -> Tensor:
    """Mean 0 and variance 1 of each channel of a map, or within each group; then scale and shift.

    Instance normalisation (Ulyanov et al., arXiv 1607.08022) of a map, with one product and one
    sum for each of its values.
    """
    (epsilon,) = operation.constants
    if not operation.is_map:
        offset = x - ops.mean(x, -1, keepdims=True)
        variance = ops.mean(ops.square(offset), -1, keepdims=True)
        return _scaled(offset * ops.rsqrt(variance + epsilon), operation)
    channels = x.shape[-1]
    repeats = _repeats(operation)
    wide = ops.reshape(x, (-1, math.prod(x.shape[1:3]) // repeats, repeats * channels))
    mean = _mean_of_repeats(wide, repeats)
    square = _mean_of_repeats(ops.square(wide), repeats)
    variance = ops.maximum(square - ops.square(mean), 0.0)  # below 0 by rounding alone
    gain = ops.rsqrt(variance + epsilon)
    gain = gain if operation.scale is None else gain * operation.scale
    shift = ops.subtract(0.0 if operation.shift is None else operation.shift, mean * gain)
    gain, shift = (_repeated(part, repeats) for part in (gain, shift))
    return ops.reshape(wide * gain + shift, (-1, *x.shape[1:]))


def _repeats(operation: Operation) -> int:
    """How many pixels to lay side by side, so that no kernel has three values a row to work on."""
    width, channels = operation.shape[2:]
    enough = (n for n in range(1, width + 1) if n * channels >= _WIDE_ENOUGH and width % n == 0)
    return next(enough, width)


def _mean_of_repeats(wide: Tensor, repeats: int) -> Tensor:
    """(B, N, repeats * C) → (B, C)."""
    rows = _float_mean(wide, (1,))
    return ops.mean(ops.reshape(rows, (-1, repeats, wide.shape[-1] // repeats)), 1)


def _repeated(row: Tensor, repeats: int) -> Tensor:
    """(B, C) → (B, 1, repeats * C)."""
    return ops.expand_dims(ops.concatenate([row] * repeats, -1), 1)


def _means(_operation: Operation, x: Tensor) -> Tensor:
    return _float_mean(x, _SPATIAL, keepdims=True)


def _float_mean(x: Tensor, axes: tuple[int, ...], *, keepdims: bool = False) -> Tensor:
    """The mean of a map, which TFLite's MEAN of integers would round to the steps of the map."""
    count = math.prod(x.shape[axis] for axis in axes)
    return ops.sum(x, axes, keepdims=keepdims) * (1 / count)


def _largest(operation: Operation, x: Tensor) -> Tensor:
    """Of values from 0 on, so that 0 around them changes nothing."""
    kernel, stride, pad = _window(operation)
    x = layers.ZeroPadding2D(pad)(x) if pad else x
    return layers.MaxPooling2D(kernel, stride)(x)


def _mean_pooled(operation: Operation, x: Tensor) -> Tensor:
    """As a depthwise convolution, for which there are faster integer kernels than for a pool."""
    kernel, stride, _ = _window(operation)
    layer = layers.DepthwiseConv2D(kernel, stride, use_bias=False)
    layer.build(x.shape)
    layer.set_weights([np.full((kernel, kernel, x.shape[-1], 1), kernel**-2, np.float32)])
    return layer(x)


def _window(operation: Operation) -> tuple[int, int, int]:
    kernel, stride, pad = (
        int(operation.settings[key].split(",")[0]) for key in ("kernel", "strides", "pads_begin")
    )
    return kernel, stride, pad


def _reshaped(operation: Operation, x: Tensor) -> Tensor:
    *places, _ = x.shape[1:]
    if len(places) == len(_SPATIAL) and math.prod(places) > 1:
        raise _other(operation, "a map")  # whose values have another order here
    return ops.reshape(x, (-1, *operation.shape[1:]))


def _matrix_product(operation: Operation, x: Tensor) -> Tensor:
    matrix = operation.constants[0]
    return ops.matmul(x, matrix.T if operation.settings.get("transpose_b") == "true" else matrix)


def _leaky(operation: Operation, x: Tensor) -> Tensor:
    """PReLU (He et al., ICCV 2015) with one slope."""
    if operation.constants[0].size != 1:
        raise _other(operation, "a slope for each channel")
    return ops.maximum(x, 0.0) + float(operation.constants[0].item()) * ops.minimum(x, 0.0)


def _check_settings(operation: Operation) -> None:
    """Raise TrainingError if it is not as it is done here, which would give something else."""
    given = {key: value.replace(" ", "") for key, value in operation.settings.items()}
    for key, done in _DONE.items():
        if given.get(key, done).lower() != done:
            raise _other(operation, f"{key} {given[key]}")
    if given.get("pads_begin") != given.get("pads_end"):
        raise _other(operation, f"pads_end {given['pads_end']}")
    if uneven := [key for key in _BOTH_WAYS if len(set(given.get(key, "").split(","))) > 1]:
        raise _other(operation, f"{uneven[0]} {given[uneven[0]]}")


def _other(operation: Operation, got: str) -> TrainingError:
    return TrainingError(
        "IR: expected operations as in person-reidentification-retail-0277, got "
        f"{operation.kind} {operation.name} with {got}"
    )


_DONE = {
    "dilations": "1,1",
    "auto_pad": "explicit",
    "rounding_type": "floor",
    "eps_mode": "inside_sqrt",
    "normalize_variance": "true",
}
"""Settings, and how alone they are done here."""
_BOTH_WAYS = ("strides", "pads_begin", "kernel")
"""Settings that are the same for height and width."""
_OF_TWO = ("Add", "Multiply")
"""Kinds that here are of two maps; with a constant they are part of what is before them."""

_KINDS: dict[str, Callable[..., Tensor]] = {
    "Gather": _reversed_channels,
    "Convolution": _convolution,
    "GroupConvolution": _convolution,
    "MVN": _normalised,
    "MaxPool": _largest,
    "AvgPool": _mean_pooled,
    "ReduceMean": _means,
    "Reshape": _reshaped,
    "Add": lambda _, x, y: layers.Add()([x, y]),
    "Multiply": lambda _, x, y: layers.Multiply()([x, y]),
    "Sigmoid": lambda _, x: ops.sigmoid(x),
    "MatMul": _matrix_product,
    "PReLU": _leaky,
}
