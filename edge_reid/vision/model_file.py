"""A `.tflite` file, looked at before a runtime sees it.

tflite-runtime 2.14 believes every offset and every index in a file, and takes the process down with
it; LiteRT checks some. What is read here is the part of TensorFlow Lite's schema that a runtime
follows blindly (tensorflow/lite/schema/schema.fbs); whether the kernels like it, they say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.errors import ModelError
from edge_reid.vision.flatbuffer import Flatbuffer, FlatbufferError, Table

_FILE_IDENTIFIER = b"TFL3"
"""Bytes 4..8 of every .tflite."""
_MAX_MODEL_BYTES = 512 << 20
_MAX_ELEMENTS = 1 << 28
"""Of a tensor."""
_ITEM_BYTES: Mapping[int, int] = {
    0: 4,
    1: 2,
    2: 4,
    3: 1,
    4: 8,
    6: 1,
    7: 2,
    8: 8,
    9: 1,
    10: 8,
    11: 16,
    12: 8,
    15: 4,
    16: 2,
}
"""By the schema's TensorType; strings, resources and half bytes have no fixed one."""
_AT_LEAST_ONE: Mapping[int, Mapping[int, int]] = {
    1: {1: 0, 2: 0, 4: 1, 5: 1},
    2: {1: 0, 2: 0, 3: 0, 5: 1, 6: 1},
    5: {1: 0, 2: 0, 3: 0, 4: 0},
}
"""By the type of an operator's options (Conv2D, DepthwiseConv2D, Pool2D): fields that are strides,
dilations, sizes, with their defaults. A runtime divides by them."""
_MOST = 1 << 16
_WITH_VECTOR: Mapping[int, str] = {17: "i4", 30: "i4"}
"""Types of options whose first field is a vector: Reshape, Squeeze."""


def is_tflite(file: BinaryIO) -> bool:
    """Whether a file, open at its first byte, says that it is a `.tflite`."""
    return file.read(8)[4:] == _FILE_IDENTIFIER


def check_model_file(path: Path) -> None:
    """Raise ModelError unless the file is a model that refers to nothing outside of itself."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _MAX_MODEL_BYTES:
            raise ModelError(
                f"model {path}: expected at most {_MAX_MODEL_BYTES} bytes, got {size_bytes}"
            )
        body = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {path}: cannot be read: {error.strerror}") from error
    if body[4:8] != _FILE_IDENTIFIER:
        raise ModelError(f"model {path}: expected a .tflite file, this is not one")
    try:
        _check(Flatbuffer(body).root)
    except FlatbufferError as error:
        raise ModelError(
            f"model {path}: is damaged or forged: {error}; restore the file or export it again"
        ) from error


def _check(model: Table) -> None:
    sizes = [_buffer_bytes(it) for it in model.tables(4)]
    codes = sum(1 for it in model.tables(1) if it.text(1) is not None)
    graphs = list(model.tables(2))
    _expect(bool(graphs), "it has no graph")
    model.text(3)
    for graph in graphs:
        _check_graph(graph, sizes, codes)
    for metadata in model.tables(6):
        metadata.text(0)
        _expect(metadata.number(1, "I") < len(sizes), "its metadata name no buffer")
    for signature in model.tables(7):
        _check_signature(signature, graphs)


def _buffer_bytes(buffer: Table) -> int:
    """Of constants. Those of models over 2 GB lie behind the flatbuffer, and are no use here."""
    _expect(buffer.number(1, "Q") <= 1, "a buffer lies outside")
    return len(buffer.numbers(0, "u1"))


def _check_graph(graph: Table, sizes: list[int], codes: int) -> None:
    tensors = list(graph.tables(0))
    graph.text(4)
    for tensor in tensors:
        _check_tensor(tensor, sizes)
    count = len(tensors)
    for field in (1, 2):
        _check_indices(graph.numbers(field, "i4"), count, least=0)
    for operator in graph.tables(3):
        _expect(operator.number(0, "I") < codes, "an operator has no code")
        for field in (1, 2, 8):
            _check_indices(operator.numbers(field, "i4"), count, least=-1)
        _check_options(operator)


def _check_indices(found: NDArray[np.generic], count: int, least: int) -> None:
    is_inside = not found.size or (found.min() >= least and found.max() < count)
    _expect(bool(is_inside), "an operator or graph names a tensor that is none")


def _check_tensor(tensor: Table, sizes: list[int]) -> None:
    shape = [int(side) for side in tensor.numbers(0, "i4")]
    tensor.numbers(7, "i4")
    tensor.text(3)
    _expect(all(side >= 0 for side in shape), "a tensor has a negative size")
    _expect(math.prod(shape) <= _MAX_ELEMENTS, f"a tensor of shape {shape}")
    buffer = tensor.number(2, "I")
    _expect(buffer < len(sizes), "a tensor has no buffer")
    if (item := _ITEM_BYTES.get(tensor.number(1, "b"))) and sizes[buffer]:
        expected = item * math.prod(shape)
        _expect(sizes[buffer] == expected, f"a tensor of {expected} bytes has {sizes[buffer]}")
    if quantisation := tensor.table(4):
        _check_quantisation(quantisation, shape)


def _check_quantisation(quantisation: Table, shape: list[int]) -> None:
    for field in (0, 1):
        quantisation.numbers(field, "f4")
    scales, zero_points = quantisation.numbers(2, "f4"), quantisation.numbers(3, "i8")
    axis = quantisation.number(6, "i")
    _expect(bool(np.isfinite(scales.astype(np.float64)).all()), "a scale is no number")
    _expect(len(zero_points) in {0, len(scales)}, "scales and zero points differ in number")
    if len(scales) > 1:
        _expect(0 <= axis < len(shape), "a tensor is quantised along no axis of its own")
        _expect(len(scales) == shape[axis], "a tensor has another number of scales than channels")
    details = quantisation.number(4, "B")
    _expect(details == 0, "a tensor has a quantisation of its own kind")


def _check_options(operator: Table) -> None:
    kind, options = operator.number(3, "B"), operator.table(4)
    operator.numbers(5, "u1")
    operator.numbers(7, "u1")
    if operator.number(11, "B"):
        operator.table(12)
    _expect((options is None) or kind != 0, "an operator has options of no type")
    for field, default in _AT_LEAST_ONE.get(kind, {}).items():
        value = options.number(field, "i", default) if options else default
        _expect(1 <= value <= _MOST, f"an operator has a stride or size of {value}")
    if options and kind in _WITH_VECTOR:
        options.numbers(0, _WITH_VECTOR[kind])


def _check_signature(signature: Table, graphs: list[Table]) -> None:
    signature.text(2)
    number = signature.number(4, "I")
    _expect(number < len(graphs), "a signature names no graph")
    count = sum(1 for _ in graphs[number].tables(0))
    for name, tensor in _tensors_of(signature):
        _expect(name is not None and tensor < count, "a signature names a tensor that is none")


def _tensors_of(signature: Table) -> Iterator[tuple[bytes, int]]:
    for field in (0, 1):
        for item in signature.tables(field):
            yield item.text(0), item.number(1, "I")


def _expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise FlatbufferError(otherwise)
