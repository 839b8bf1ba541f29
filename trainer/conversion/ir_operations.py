"""The operations of an IR as TFLite counts them: with its bias, its scale and its ReLU.

A convolution with its bias and its ReLU is one operation there, with one rounding at its end; in
the IR it is three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.conversion.openvino_ir import FloatArray, IrNode

CONVOLUTIONS = ("Convolution", "GroupConvolution")
_FOR_EACH_VALUE = ("Add", "Multiply", "Subtract")
_WITH_PLACES = 4
"""Axes of (1, H, W, C)."""
_SMALLEST_PEAK = 1e-4
"""Of the largest of a map: a channel that is dead has no peak to divide by."""
_ON_INTEGERS = (*CONVOLUTIONS, "MaxPool", "AvgPool", "Add", "Multiply")


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation, channels last: max(0, value * scale + shift) with `relu`.

    Attributes:
        name: of the last node of the IR that is in it.
        kind: of its first node.
        sources: names of the operations that it is computed of.
        constants: what its first node is given besides, as the IR stores it; of a norm (MVN)
            epsilon, of each channel or of all.
        settings: of its first node.
        shape: (1, H, W, C), (1, C) or (1, groups, C / groups).
        scale: of each channel, or None.
        shift: of each channel, or None.
        relu: nothing below 0.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    constants: tuple[FloatArray, ...]
    settings: Mapping[str, str]
    shape: tuple[int, ...]
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


def read_operations(nodes: Sequence[IrNode]) -> tuple[Operation, ...]:
    """The operations of some nodes, in their order, without the Result.

    Raises:
        TrainingError: a constant stands where none is expected.
    """
    names = {node.name: node.name for node in nodes}
    found: dict[str, Operation] = {}
    readers = _readers(nodes)
    for node in nodes:
        sources = tuple(names[each] for each in node.operands if isinstance(each, str))
        constants = tuple(each for each in node.operands if not isinstance(each, str))
        before = found.get(sources[0]) if sources else None
        alone = bool(sources) and len(readers[str(node.operands[0])]) == 1
        joined = _joined(before, node, constants) if before and alone else None
        if joined is not None:
            del found[sources[0]]
            found[node.name] = joined
            names = {old: node.name if to == sources[0] else to for old, to in names.items()}
        elif node.kind != "Result":
            found[node.name] = _operation(node, sources, constants)
    return tuple(found.values())


def without_scales_before_norms(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The same without the scale and shift of what only a norm reads.

    It undoes them: of g x + s it makes what it makes of x with epsilon / g² (g > 0).
    """
    changed = {operation.name: operation for operation in operations}
    for before, norm in _sole_readers(operations, "MVN"):
        if before.kind in CONVOLUTIONS or before.scale is None or np.any(before.scale <= 0):
            continue
        changed[before.name] = replace(before, scale=None, shift=None)
        changed[norm.name] = replace(norm, constants=(norm.constants[0] / before.scale**2,))
    return tuple(changed.values())


def equalisable(operations: Sequence[Operation]) -> tuple[str, ...]:
    """Names of the convolutions whose channels can be scaled for nothing.

    They have no ReLU, and only a depthwise convolution or a norm reads them.
    """
    found = _sole_readers(operations, "GroupConvolution", "MVN")
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
    for before, reader in _sole_readers(operations, "GroupConvolution", "MVN"):
        if before.name in peaks:
            peak = np.maximum(peaks[before.name], _SMALLEST_PEAK * peaks[before.name].max())
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


def _sole_readers(
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


def _readers(nodes: Sequence[IrNode]) -> Mapping[str, Sequence[str]]:
    readers: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        for operand in node.operands:
            if isinstance(operand, str):
                readers[operand].append(node.name)
    return readers


def _joined(before: Operation, node: IrNode, constants: Sequence[FloatArray]) -> Operation | None:
    """What is before a node together with it, or None where they are two operations."""
    if before.relu:
        return None
    if node.kind == "ReLU":
        return replace(before, name=node.name, relu=True)
    if node.kind not in _FOR_EACH_VALUE or not constants:
        return None
    given = _by_channel(constants[0], before.shape[-1])
    scale, shift = before.scale, before.shift
    if node.kind == "Multiply":
        scale = given if scale is None else scale * given
        shift = None if shift is None else shift * given
    else:
        added = -given if node.kind == "Subtract" else given
        shift = added if shift is None else shift + added
    return replace(before, name=node.name, scale=scale, shift=shift)


def _by_channel(constant: FloatArray, channels: int) -> FloatArray:
    """(1, C, 1, 1), (1, C, 1) or one value → (C,)."""
    whole = constant.size == 1
    if not whole and (constant.size != channels or constant.shape[1:2] != (channels,)):
        raise TrainingError(
            f"IR: expected a constant with a value for each of {channels} channels, got one of "
            f"{constant.shape}; only networks like person-reidentification-retail-0277 are "
            "converted"
        )
    return np.broadcast_to(constant.ravel(), (channels,))


def _operation(
    node: IrNode, sources: tuple[str, ...], constants: tuple[FloatArray, ...]
) -> Operation:
    if node.kind == "MVN":
        _check_axes(node, constants[0])
        constants = (np.array([node.settings["eps"]], np.float32),)
    return Operation(
        name=node.name,
        kind=node.kind,
        sources=sources,
        constants=constants,
        settings=node.settings,
        shape=_channels_last(node.shape),
    )


def _check_axes(norm: IrNode, axes: FloatArray) -> None:
    """Raise TrainingError unless each channel, or each group, is normalised by itself."""
    rank = len(norm.shape)
    if sorted(int(axis) % rank for axis in axes.ravel()) != list(range(2, rank)):
        raise TrainingError(
            f"IR: expected norms of each channel or group, got {norm.kind} {norm.name} over axes "
            f"{axes.ravel().tolist()}; only networks like person-reidentification-retail-0277 are "
            "converted"
        )


def _channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    match shape:
        case batch, channels, height, width:
            return batch, height, width, channels
        case batch, channels, 1:
            return batch, channels
    return shape
