"""A network as the operations that TFLite counts: each with its bias, its scale and its ReLU.

A convolution with its bias and its ReLU is one operation there, with one rounding at its end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]

CONVOLUTIONS = ("Convolution", "GroupConvolution")
_WITH_PLACES = 4
"""Axes of (1, H, W, C)."""
_SMALLEST_PEAK = 1e-4
"""Of the largest of a map: a channel that is dead has no peak to divide by."""
_ON_INTEGERS = (*CONVOLUTIONS, "MaxPool", "AvgPool", "Add", "Multiply")


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation, channels last: max(0, value * scale + shift) with `relu`.

    Attributes:
        name: no other has it.
        kind: what it does, as OpenVINO calls it.
        sources: names of the operations that it is computed of.
        constants: what it is given besides, by OpenVINO's order of axes: a kernel (out, in, h, w),
            of a depthwise convolution (out, 1, 1, h, w); a matrix (in, out); of a norm (MVN)
            epsilon, of each channel or of all; of a PReLU its slope.
        shape: (1, H, W, C), (1, C) or (1, groups, C / groups).
        stride: of a convolution or a pool, both ways.
        pad: pixels around its map on each side.
        window: side in pixels of what a pool looks at.
        scale: of each channel, or None.
        shift: of each channel, or None.
        relu: nothing below 0.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    constants: tuple[FloatArray, ...]
    shape: tuple[int, ...]
    stride: int = 1
    pad: int = 0
    window: int = 1
    scale: FloatArray | None = None
    shift: FloatArray | None = None
    relu: bool = False

    @property
    def is_map(self) -> bool:
        """Whether it gives more than one value a channel and picture."""
        return len(self.shape) == _WITH_PLACES and self.shape[1] * self.shape[2] > 1

    @property
    def is_integer(self) -> bool:
        """Whether TFLite is to compute it in int8: what is done with maps, but for their norms."""
        return self.kind in _ON_INTEGERS and self.is_map


def equalisable(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Names of the convolutions whose channels can be scaled for nothing.

    They have no ReLU, and only a depthwise convolution or a norm reads them.
    """
    found = sole_readers(operations, "GroupConvolution", "MVN")
    return tuple(before.name for before, _ in found if before.kind in CONVOLUTIONS)


def equalised(
    operations: Sequence[Operation], peaks: Mapping[str, FloatArray]
) -> tuple[Operation, ...]:
    """The same with every channel of some convolutions (`equalisable`) reaching 1.

    In float it changes nothing: whoever reads them is scaled back. In int8 all channels of a map
    share its 256 steps, and one that reaches a twentieth of the others has 13 of them.

    Args:
        operations: of an IR.
        peaks: of the convolutions by name, (C,), the largest magnitude that each channel has.
    """
    changed = {operation.name: operation for operation in operations}
    for before, reader in sole_readers(operations, "GroupConvolution", "MVN"):
        if before.name in peaks:
            largest = peaks[before.name].max() or 1.0
            peak = np.maximum(peaks[before.name], _SMALLEST_PEAK * largest)
            changed[before.name] = _scaled_to_one(changed[before.name], peak)
            changed[reader.name] = _scaled_back(changed[reader.name], peak)
    return tuple(changed.values())


def _scaled_to_one(convolution: Operation, peak: FloatArray) -> Operation:
    scale = 1 / peak if convolution.scale is None else convolution.scale / peak
    shift = None if convolution.shift is None else convolution.shift / peak
    return replace(convolution, scale=scale, shift=shift)


def _scaled_back(reader: Operation, peak: FloatArray) -> Operation:
    (constant,) = reader.constants
    norm = reader.kind == "MVN"
    scaled = constant / peak**2 if norm else constant * peak[:, None, None, None, None]
    return replace(reader, constants=(np.asarray(scaled, np.float32),))


def sole_readers(
    operations: Sequence[Operation], *kinds: str
) -> Iterator[tuple[Operation, Operation]]:
    """Operations without a ReLU that one other of these kinds reads alone, with that other."""
    readers = readers_of(operations)
    for operation in operations:
        reading = readers[operation.name]
        if len(reading) == 1 and reading[0].kind in kinds and not operation.relu:
            yield operation, reading[0]


def readers_of(operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
    """Which operations read what each gives."""
    readers: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        for source in operation.sources:
            readers[source].append(operation)
    return readers


def rounded_operations(operations: Sequence[Operation]) -> Iterator[str]:
    """Names of those whose output is an int8 tensor with limits of its own.

    Whatever integers are computed of or into; a maximum keeps the limits of what it is of.
    """
    readers = readers_of(operations)
    for operation in operations:
        read_as_integers = any(reader.is_integer for reader in readers[operation.name])
        if operation.kind not in {"MaxPool", "Parameter"} and (
            operation.is_integer or read_as_integers
        ):
            yield operation.name
