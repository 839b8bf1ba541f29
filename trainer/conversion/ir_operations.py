"""The operations of an IR: what is a convolution, a bias and a ReLU there is one of them here.

What an OSNet does not have is refused by name, rather than computed otherwise than in the IR.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.conversion.openvino_ir import FloatArray, IrNode
from trainer.network.operation_network import unlike_osnet
from trainer.network.operations import CONVOLUTIONS, Operation, sole_readers

_FOR_EACH_VALUE = ("Add", "Multiply", "Subtract")
_BGR_TO_RGB = ((2, 1, 0), (1,))
"""Indices of a Gather, and their axis."""
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


def read_operations(nodes: Sequence[IrNode]) -> tuple[Operation, ...]:
    """The operations of some nodes, in their order, that give of RGB what those give of BGR.

    Raises:
        TrainingError: a constant or a setting is none of an OSNet's, or the picture is not BGR.
    """
    names = {node.name: node.name for node in nodes}
    found: dict[str, Operation] = {}
    readers = _readers(nodes)
    pictures = [node.name for node in nodes if node.kind == "Parameter"]
    _check_turns_bgr_into_rgb(pictures, nodes)
    for node in nodes:
        sources, constants = tuple(names[each] for each in node.sources), node.constants
        before = found.get(sources[0]) if sources else None
        alone = bool(sources) and len(readers[node.sources[0]]) == 1
        joined = _joined(before, node, constants) if before and alone else None
        if joined is not None:
            del found[sources[0]]
            found[node.name] = joined
            names = {old: node.name if to == sources[0] else to for old, to in names.items()}
        elif node.kind == "Gather" and node.sources[0] in pictures:
            names[node.name] = sources[0]
        elif node.kind != "Result":
            found[node.name] = _operation(node, sources, constants)
    return tuple(found.values())


def without_scales_before_norms(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The same without the scale and shift of what only a norm reads.

    It undoes them: of g x + s it makes what it makes of x with epsilon / g² (g > 0).
    """
    changed = {operation.name: operation for operation in operations}
    for before, norm in sole_readers(operations, "MVN"):
        if before.kind in CONVOLUTIONS or before.scale is None or np.any(before.scale <= 0):
            continue
        changed[before.name] = replace(before, scale=None, shift=None)
        changed[norm.name] = replace(norm, constants=(norm.constants[0] / before.scale**2,))
    return tuple(changed.values())


def _readers(nodes: Sequence[IrNode]) -> Mapping[str, Sequence[str]]:
    readers: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        for source in node.sources:
            readers[source].append(node.name)
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
    _check_settings(node)
    match node.kind:
        case "MVN":
            _check_axes(node, constants[0])
            constants = (np.array([node.settings["eps"]], np.float32),)
        case "MatMul" if node.settings.get("transpose_b") == "true":
            constants = (np.ascontiguousarray(constants[0].T),)
        case "PReLU" if constants[0].size != 1:
            raise _other(node, "a slope for each channel")
        case "GroupConvolution" if constants[0].shape[1:3] != (1, 1):
            raise _other(node, "groups of several channels")
        case "Reshape" | "ReduceMean":
            constants = ()  # its shape says all
        case "Add" | "Multiply" if len(sources) == 1:
            raise _other(node, "a constant")  # that nothing before it can take in
    return Operation(
        name=node.name,
        kind=node.kind,
        sources=sources,
        constants=constants,
        shape=_channels_last(node.shape),
        stride=_one_side(node, "strides", 1),
        pad=_one_side(node, "pads_begin", 0),
        window=_one_side(node, "kernel", 1),
    )


def _one_side(node: IrNode, key: str, default: int) -> int:
    return int(node.settings.get(key, str(default)).split(",")[0])


def _check_turns_bgr_into_rgb(pictures: Sequence[str], nodes: Sequence[IrNode]) -> None:
    """Raise TrainingError if anything else is done with a picture first; we give RGB at once.

    Without it colours are in an order of which the IR does not say which it is.
    """
    for picture in pictures:
        first = [node for node in nodes if picture in node.sources]
        if len(first) == 1 and _turns_bgr_into_rgb(first[0]):
            continue
        got = " and ".join(f"{node.kind} {node.name}" for node in first)
        other = " of other indices" if {node.kind for node in first} == {"Gather"} else ""
        raise TrainingError(
            f"IR: expected a network that turns BGR into RGB first, got {got}{other}; only "
            "networks like person-reidentification-retail-0277 are converted"
        )


def _turns_bgr_into_rgb(node: IrNode) -> bool:
    chosen = tuple(tuple(each.ravel()) for each in node.constants)
    return node.kind == "Gather" and chosen == _BGR_TO_RGB


def _check_settings(node: IrNode) -> None:
    """Raise TrainingError if it is not as it is done here, which would give something else."""
    given = {key: value.replace(" ", "") for key, value in node.settings.items()}
    for key, done in _DONE.items():
        if given.get(key, done).lower() != done:
            raise _other(node, f"{key} {given[key]}")
    if given.get("pads_begin") != given.get("pads_end"):
        raise _other(node, f"pads_end {given['pads_end']}")
    if uneven := [key for key in _BOTH_WAYS if len(set(given.get(key, "").split(","))) > 1]:
        raise _other(node, f"{uneven[0]} {given[uneven[0]]}")


def _other(node: IrNode, got: str) -> TrainingError:
    return unlike_osnet(f"{node.kind} {node.name} with {got}")


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
