"""A network in OpenVINO's IR: all its operations, or its convolutions and their int8 ranges.

An IR is an `.xml` of layers and edges and a `.bin` of constants. Of a calibrated (FP16-INT8) one
the convolutions can be had alone: int8 kernels with a scale per channel, their biases, and the
limits of the FakeQuantize nodes around them. The file is read without OpenVINO.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError

FloatArray: TypeAlias = npt.NDArray[np.float32]
Range: TypeAlias = tuple[FloatArray, FloatArray]
"""Least and largest value of a map: (1,) for all of it, or (C,), one for each channel."""

_DTYPES = {"f32": "<f4", "f16": "<f2", "i8": "<i1", "u8": "<u1", "i32": "<i4", "i64": "<i8"}
_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_STORED = ("Const", "Convert")
_OF_SHAPES = ("ShapeOf", "Gather", "Concat")
"""Operations that, of constants alone, compute the shape of a Reshape."""

Operand: TypeAlias = str | FloatArray
"""The name of the operation that computes it, or what the file stores."""


@dataclass(frozen=True, slots=True, eq=False)
class IrNode:
    """One operation of an IR, channels first as it stands there.

    Attributes:
        name: its number in the IR.
        kind: such as Convolution or MVN.
        operands: what it is computed of. The shape that a Reshape is given is left out where the IR
            computes it: `shape` tells.
        settings: such as strides, as text.
        shape: of what it computes; () for a Result.
    """

    name: str
    kind: str
    operands: tuple[Operand, ...]
    settings: Mapping[str, str]
    shape: tuple[int, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the operations among its operands."""
        return tuple(each for each in self.operands if isinstance(each, str))

    @property
    def constants(self) -> tuple[FloatArray, ...]:
        """The others."""
        return tuple(each for each in self.operands if not isinstance(each, str))


def read_nodes(path: Path) -> tuple[IrNode, ...]:
    """All that an IR computes, in an order in which it can be computed.

    Raises:
        TrainingError: a file is missing, or it is no IR.
    """
    return tuple(_Ir(path).nodes())


@dataclass(frozen=True, slots=True, eq=False)
class IrConvolution:
    """One convolution, channels last.

    Attributes:
        kernel: (h, w, in, out) float32; of a depthwise one (h, w, channels, 1).
        bias: (out,) float32.
        stride: in both directions.
        is_depthwise: every channel by itself.
        input_range: what its input was calibrated to.
        output_range: the same of its output, after its activation; None where nobody quantises it.
    """

    kernel: FloatArray
    bias: FloatArray
    stride: int
    is_depthwise: bool
    input_range: Range
    output_range: Range | None


def read_convolutions(path: Path) -> tuple[IrConvolution, ...]:
    """All convolutions of an IR, in the order in which it computes them.

    Raises:
        TrainingError: a file is missing, or it is no calibrated IR.
    """
    return tuple(_Ir(path).convolutions())


@dataclass(frozen=True, slots=True)
class IrAnchors:
    """The anchors of one grid of an SSD: sizes (width, height) in pixels around every cell."""

    stride: int
    sizes: tuple[tuple[float, float], ...]


def read_anchors(path: Path) -> tuple[IrAnchors, ...]:
    """The anchors of an IR, in the order of its outputs; raises like `read_convolutions`."""
    return tuple(_Ir(path).anchors())


def read_input_side(path: Path) -> int:
    """Side in pixels of the square input of an IR; raises like `read_convolutions`."""
    return _Ir(path).input_side()


class _Ir:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            root = ET.parse(path).getroot()  # noqa: S314 - whoever converts a model chose the file
            self._constants = path.with_suffix(".bin").read_bytes()
        except (OSError, ET.ParseError) as error:
            raise TrainingError(
                f"{path}: expected an OpenVINO IR with its .bin beside it: {error}"
            ) from error
        self._layers = {layer.get("id", ""): layer for layer in root.iterfind("layers/layer")}
        self._inputs: dict[str, dict[int, str]] = defaultdict(dict)
        self._readers: dict[str, list[str]] = defaultdict(list)
        for edge in root.iterfind("edges/edge"):
            origin, target = edge.get("from-layer", ""), edge.get("to-layer", "")
            self._inputs[target][int(edge.get("to-port", 0))] = origin
            self._readers[origin].append(target)

    def nodes(self) -> Iterator[IrNode]:
        for name, layer in self._layers.items():
            if not self._is_constant(name):
                data = layer.find("data")
                yield IrNode(
                    name=name,
                    kind=self._type(name),
                    operands=tuple(self._operands(name)),
                    settings={} if data is None else dict(data.attrib),
                    shape=tuple(int(dim.text or 0) for dim in layer.iterfind("output/port[1]/dim")),
                )

    def _is_constant(self, name: str) -> bool:
        if self._type(name) in {"Const", "ShapeOf"}:
            return True
        computed = self._type(name) in {*_STORED, *_OF_SHAPES}
        return computed and all(map(self._is_constant, self._inputs[name].values()))

    def _operands(self, name: str) -> Iterator[Operand]:
        for _, origin in sorted(self._inputs[name].items()):
            if not self._is_constant(origin):
                yield origin
            elif self._type(origin) in _STORED:
                yield self._constant(origin)

    def convolutions(self) -> Iterator[IrConvolution]:
        return map(self._convolution, self._of_type(*_CONVOLUTIONS))

    def anchors(self) -> Iterator[IrAnchors]:
        for name in self._of_type("PriorBoxClustered"):
            widths, heights = (
                map(float, self._data(name, key).split(",")) for key in ("width", "height")
            )
            sizes = tuple(zip(widths, heights, strict=True))
            yield IrAnchors(int(float(self._data(name, "step"))), sizes)

    def input_side(self) -> int:
        shapes = [self._data(name, "shape").split(",") for name in self._of_type("Parameter")]
        if len(shapes) != 1 or shapes[0][-1] != shapes[0][-2]:
            raise TrainingError(f"{self._path}: expected one square input, got {shapes}")
        return int(shapes[0][-1])

    def _of_type(self, *types: str) -> Iterator[str]:
        return (name for name in self._layers if self._type(name) in types)

    def _convolution(self, name: str) -> IrConvolution:
        is_depthwise = self._type(name) == "GroupConvolution"
        kernel = self._kernel(self._inputs[name][1])
        axes = (3, 4, 0, 1, 2) if is_depthwise else (2, 3, 1, 0)
        kernel = kernel.transpose(axes)
        if is_depthwise:
            kernel = kernel[..., 0]
        adding = next((r for r in self._readers[name] if self._type(r) == "Add"), None)
        if adding is None:
            raise TrainingError(
                f"{self._path}: expected convolutions with a bias, layer "
                f"{self._layers[name].get('name')} has none; is it another network?"
            )
        return IrConvolution(
            kernel=np.ascontiguousarray(kernel),
            bias=self._constant(self._inputs[adding][1]).ravel(),
            stride=int(self._data(name, "strides").split(",")[0]),
            is_depthwise=is_depthwise,
            input_range=self._range(self._inputs[name][0]),
            output_range=self._range_after(adding),
        )

    def _kernel(self, name: str) -> FloatArray:
        """Whole numbers times a scale per channel; of a depthwise one, reshaped to five axes."""
        if self._type(name) == "Reshape":
            stored = self._kernel(self._inputs[name][0])
            return stored[:, :, np.newaxis]
        if self._type(name) == "Multiply":
            numbers, scale = (self._constant(self._inputs[name][port]) for port in (0, 1))
            return numbers * scale
        return self._constant(name)

    def _range_after(self, name: str) -> Range | None:
        for reader in self._readers[name]:
            if self._type(reader) in {"Clamp", "ReLU"}:
                return self._range_after(reader)
            if self._type(reader) == "FakeQuantize":
                return self._range(reader)
        return None

    def _range(self, name: str) -> Range:
        if self._type(name) != "FakeQuantize":
            raise TrainingError(
                f"{self._path}: expected a calibrated IR (FP16-INT8), layer "
                f"{self._layers[name].get('name')} feeds a convolution unquantised"
            )
        low, high = (self._constant(self._inputs[name][port]).ravel() for port in (1, 2))
        return low, high

    def _type(self, name: str) -> str:
        return self._layers[name].get("type", "")

    def _data(self, name: str, key: str) -> str:
        data = self._layers[name].find("data")
        value = None if data is None else data.get(key)
        if value is None:
            raise TrainingError(f"{self._path}: expected {key} of layer {name}, got none")
        return value

    def _constant(self, name: str) -> FloatArray:
        """The numbers of a constant, whatever they are stored as."""
        if self._type(name) == "Convert":
            return self._constant(self._inputs[name][0])
        dtype = np.dtype(_DTYPES[self._data(name, "element_type")])
        offset, size = int(self._data(name, "offset")), int(self._data(name, "size"))
        shape = [int(side) for side in self._data(name, "shape").split(",") if side.strip()]
        stored = np.frombuffer(self._constants, dtype, size // dtype.itemsize, offset)
        return stored.reshape(shape).astype(np.float32)
