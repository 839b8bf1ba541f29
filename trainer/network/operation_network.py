"""What operations compute, as a Keras network: to write to a file, or to train."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers, ops

from edge_reid.core.errors import TrainingError
from trainer.network.fake_quant import Ranges
from trainer.network.operations import CONVOLUTIONS, FloatArray, Operation

Tensor: TypeAlias = Any

_EPSILON = "epsilon"
_SPATIAL = (1, 2)
_WIDE_ENOUGH = 128
"""Values side by side from which on kernels for each value are at their full speed."""


def build_network(
    operations: Sequence[Operation],
    *,
    batch: int | None = None,
    ranges: Ranges | None = None,
) -> keras.Model:
    """A network that cannot be trained: (B, H, W, 3) RGB 0..255 → (B, D).

    Args:
        operations: all it computes, the picture first.
        batch: how many pictures at once; None: any number.
        ranges: of the operations whose output is rounded; the others stay float.

    Every operation ends with a layer of its name (`layer_name`).

    Raises:
        TrainingError: an operation is none of an OSNet's.
    """
    return _built(operations, _Writer(batch, _from_zero_on(operations)), ranges or {})


def build_trainable(operations: Sequence[Operation]) -> keras.Model:
    """The same, any number of pictures at once, whose constants are the network's weights.

    `trained` reads them back. Raises like `build_network`.
    """
    return _built(operations, _Writer(None, _from_zero_on(operations), trainable=True), {})


def trained(operations: Sequence[Operation], network: keras.Model) -> tuple[Operation, ...]:
    """The operations that `build_trainable` made a network of, with what it has learnt since."""
    return tuple(_with_weights(operation, network) for operation in operations)


def layer_name(operation: str) -> str:
    """The layer that gives what an operation of this name gives."""
    return f"{operation}_out"


def unlike_osnet(got: str) -> TrainingError:
    """The error of an operation that is not computed here as it would have to be."""
    return TrainingError(
        f"expected operations as in person-reidentification-retail-0277 (an OSNet), got {got}"
    )


class Constant(layers.Layer):  # type: ignore[misc]
    """A layer that gives an array, which is learnt unless it is an epsilon, whatever goes in.

    Args:
        start: what it begins with.
        what: what its variable is called.
    """

    def __init__(self, start: FloatArray, what: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._start, self._what = np.asarray(start, np.float32), what

    def build(self, _shape: tuple[int, ...]) -> None:
        self.value = self.add_weight(
            shape=self._start.shape, name=self._what, trainable=self._what != _EPSILON
        )
        self.value.assign(self._start)

    def call(self, _x: Tensor) -> Tensor:
        return ops.convert_to_tensor(self.value)

    def compute_output_spec(self, _x: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(self._start.shape, self.compute_dtype)


def _built(operations: Sequence[Operation], writer: _Writer, ranges: Ranges) -> keras.Model:
    for operation in operations:
        value = writer.write(operation)
        if operation.name in ranges:
            value = quantised(value, *ranges[operation.name])
        writer.values[operation.name] = value
    first, last = operations[0].name, operations[-1].name
    return keras.Model(writer.values[first], writer.values[last], name="embedder")


def _from_zero_on(operations: Sequence[Operation]) -> frozenset[str]:
    return frozenset(operation.name for operation in operations if operation.relu)


def quantised(x: Tensor, low: float, high: float) -> Tensor:
    """Where the converter takes the scale and zero point of a map from."""
    import tensorflow as tf  # noqa: PLC0415 - only a file to be rounded needs it

    def fake(values: Tensor) -> Tensor:
        return tf.quantization.fake_quant_with_min_max_vars(values, low, high)

    return layers.Lambda(fake)(x)


@dataclass(frozen=True, slots=True, eq=False)
class _Writer:
    batch: int | None
    from_zero_on: frozenset[str]
    """Operations that give nothing below 0."""
    trainable: bool = False
    values: dict[str, Tensor] = field(default_factory=dict)

    def write(self, operation: Operation) -> Tensor:
        if operation.kind == "Parameter":
            return keras.Input(batch_shape=(self.batch, *operation.shape[1:]), name="image")
        sources = [self.values[source] for source in operation.sources]
        if self.trainable and not _is_layer(operation):
            operation = _with_constants(operation, sources[0])
        value = self._computed(operation, *sources)
        if operation.kind not in {*CONVOLUTIONS, "MVN"}:
            value = _scaled(value, operation)
        value = layers.ReLU()(value) if operation.relu else value
        return layers.Identity(name=layer_name(operation.name))(value)

    def _computed(self, operation: Operation, *sources: Tensor) -> Tensor:
        kinds = _KINDS | _TRAINED_OTHERWISE if self.trainable else _KINDS
        compute = kinds.get(operation.kind)
        if compute is None:
            raise unlike_osnet(f"{operation.kind} {operation.name}")
        if operation.kind == "MaxPool" and operation.sources[0] not in self.from_zero_on:
            # The zeros around them would exceed some.
            raise _other(operation, "values below 0")
        value = compute(operation, *sources)
        if tuple(value.shape[1:]) != operation.shape[1:]:
            raise _other(operation, f"a result of {operation.shape}")
        return value


def _is_layer(operation: Operation) -> bool:
    """Whether a layer of Keras holds its kernel."""
    return operation.kind in CONVOLUTIONS and operation.is_map


def _with_constants(operation: Operation, source: Tensor) -> Operation:
    """The same with `Constant` layers in place of its arrays; epsilon is not learnt."""
    return _holding(
        operation,
        {
            what: Constant(array, what, name=f"{operation.name}_{what}")(source)
            for what, array in _arrays(operation).items()
        },
    )


def _with_weights(operation: Operation, network: keras.Model) -> Operation:
    if not _is_layer(operation):
        learnt = {
            what: network.get_layer(f"{operation.name}_{what}").get_weights()[0]
            for what in _arrays(operation)
        }
        return _holding(operation, learnt)
    kernel, *shift = network.get_layer(operation.name).get_weights()
    depthwise = operation.kind == "GroupConvolution"
    kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    kernel = kernel[:, np.newaxis] if depthwise else kernel
    return _holding(operation, {"kernel": kernel} | ({"shift": shift[0]} if shift else {}))


def _arrays(operation: Operation) -> dict[str, FloatArray]:
    """Its arrays by what they are: `kernel` or, of a norm, `epsilon`; `scale`; `shift`."""
    first = _EPSILON if operation.kind == "MVN" else "kernel"
    arrays = dict(zip([first], operation.constants, strict=False))
    further = {"scale": operation.scale, "shift": operation.shift}
    return arrays | {what: array for what, array in further.items() if array is not None}


def _holding(operation: Operation, arrays: Mapping[str, Any]) -> Operation:
    """The same with other arrays, or tensors."""
    constants = tuple(arrays[what] for what in ("kernel", _EPSILON) if what in arrays)
    return replace(
        operation, constants=constants, scale=arrays.get("scale"), shift=arrays.get("shift")
    )


def _scaled(x: Tensor, operation: Operation) -> Tensor:
    x = x if operation.scale is None else x * operation.scale
    return x if operation.shift is None else x + operation.shift


def _convolution(operation: Operation, x: Tensor) -> Tensor:
    if not operation.is_map:
        return _convolution_to_one(operation, x)
    kernel = operation.constants[0]
    depthwise = operation.kind == "GroupConvolution"
    kernel = kernel[:, 0].transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
    if operation.scale is not None:
        kernel = kernel * (operation.scale[:, None] if depthwise else operation.scale)
    stride, pad = operation.stride, operation.pad
    if stride > 1 and pad:  # "same" would pad an even side at its end alone
        x = layers.ZeroPadding2D(pad)(x)
    options: dict[str, Any] = {
        "strides": stride,
        "padding": "same" if stride == 1 and pad else "valid",
        "use_bias": operation.shift is not None,
        "name": operation.name,
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
        weights = ops.transpose(kernel[:, 0, 0], (1, 2, 0))
        x = ops.sum(x * weights, _SPATIAL, keepdims=True)
    else:
        x = ops.matmul(x, ops.transpose(kernel[:, :, 0, 0]))
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
    x = layers.ZeroPadding2D(operation.pad)(x) if operation.pad else x
    return layers.MaxPooling2D(operation.window, operation.stride)(x)


def _mean_pooled(operation: Operation, x: Tensor) -> Tensor:
    """As a depthwise convolution, for which there are faster integer kernels than for a pool."""
    side = operation.window
    layer = layers.DepthwiseConv2D(side, operation.stride, use_bias=False)
    layer.build(x.shape)
    layer.set_weights([np.full((side, side, x.shape[-1], 1), side**-2, np.float32)])
    return layer(x)


def _reshaped(operation: Operation, x: Tensor) -> Tensor:
    *places, _ = x.shape[1:]
    if len(places) == len(_SPATIAL) and math.prod(places) > 1:
        raise _other(operation, "a map")  # whose values have another order here
    return ops.reshape(x, (-1, *operation.shape[1:]))


def _leaky(operation: Operation, x: Tensor) -> Tensor:
    """PReLU (He et al., ICCV 2015) with one slope."""
    slope = ops.reshape(operation.constants[0], ())
    return ops.maximum(x, 0.0) + slope * ops.minimum(x, 0.0)


def _other(operation: Operation, got: str) -> TrainingError:
    return unlike_osnet(f"{operation.kind} {operation.name} with {got}")


_KINDS: dict[str, Callable[..., Tensor]] = {
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
    "MatMul": lambda operation, x: ops.matmul(x, operation.constants[0]),
    "PReLU": _leaky,
}
_TRAINED_OTHERWISE: dict[str, Callable[..., Tensor]] = {
    "AvgPool": lambda operation, x: layers.AveragePooling2D(operation.window, operation.stride)(x),
}
