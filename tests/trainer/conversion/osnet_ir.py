"""Writes an OSNet of ours as the IR that Intel's networks are: BGR, channels first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset8

from trainer.network.operations import Operation


def write_ir(operations: Sequence[Operation], path: Path) -> Path:
    """An `.xml` and a `.bin` in float32."""
    values: dict[str, Any] = {}
    picture: Any = None
    for operation in operations:
        if operation.kind == "Parameter":
            picture = opset8.parameter(channels_first(operation.shape), np.float32)
            order, axis = (opset8.constant(np.int64(each)) for each in ([2, 1, 0], 1))
            rgb = opset8.gather(picture, order, axis)
            spread = opset8.constant(np.ones((1, 3, 1, 1), np.float32))
            values[operation.name] = opset8.multiply(rgb, spread)
        else:
            sources = [values[source] for source in operation.sources]
            values[operation.name] = after(operation, computed(operation, *sources))
    model = openvino.Model([values[operations[-1].name]], [picture], "osnet")
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def computed(operation: Operation, *x: Any) -> Any:
    given = [opset8.constant(np.asarray(each, np.float32)) for each in operation.constants]
    stride, pad, window = ([getattr(operation, k)] * 2 for k in ("stride", "pad", "window"))
    axes = opset8.constant(np.int64([2, 3] if len(operation.shape) == 4 else [2]))
    kinds = {
        "Convolution": lambda: opset8.convolution(*x, *given, stride, pad, pad, [1, 1]),
        "GroupConvolution": lambda: opset8.group_convolution(*x, *given, stride, pad, pad, [1, 1]),
        "MVN": lambda: opset8.mvn(*x, axes, True, float(operation.constants[0][0]), "INSIDE_SQRT"),
        "MaxPool": lambda: opset8.max_pool(*x, stride, [1, 1], pad, pad, window).output(0),
        "AvgPool": lambda: opset8.avg_pool(*x, stride, pad, pad, window, False),
        "ReduceMean": lambda: opset8.reduce_mean(*x, axes, True),
        "Reshape": lambda: reshaped(*x, places(operation)),
        "Add": lambda: opset8.add(*x),
        "Multiply": lambda: opset8.multiply(*x),
        "Sigmoid": lambda: opset8.sigmoid(*x),
        "MatMul": lambda: opset8.matmul(*x, *given, False, False),
        "PReLU": lambda: opset8.prelu(*x, *given),
    }
    return kinds[operation.kind]()


def after(operation: Operation, x: Any) -> Any:
    if operation.scale is not None:
        x = opset8.multiply(x, by_channel(operation.scale, operation))
    if operation.shift is not None:
        x = opset8.add(x, by_channel(operation.shift, operation))
    return opset8.relu(x) if operation.relu else x


def by_channel(values: np.ndarray, operation: Operation) -> Any:
    shape = [1, -1] + [1] * (len(places(operation)) - 2)
    return opset8.constant(np.asarray(values, np.float32).reshape(shape))


def places(operation: Operation) -> list[int]:
    """Channels first; a row that is scaled has an axis more, as in Intel's."""
    row = len(operation.shape) == 2 and operation.scale is not None
    return channels_first(operation.shape) + [1] * row


def reshaped(x: Any, shape: Sequence[int]) -> Any:
    return opset8.reshape(x, opset8.constant(np.int64(shape)), False)


def channels_first(shape: Sequence[int]) -> list[int]:
    match list(shape):
        case [batch, height, width, channels]:
            return [batch, channels, height, width]
    return list(shape)
