"""OSNet, as Intel's person-reidentification-retail-0277 and -0287 have it, of any width and size.

Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification" (ICCV 2019), table 1: in
each block four streams of one to four light 3×3 convolutions see as many scales, and each stream is
weighted by what it shows.  Intel's differ from it in three things: a crop is normalised before
anything else, which takes its light and colour cast out; the second block of each pair weighs
streams by a linear context transform (Ruan et al., "Linear Context Transform Block", AAAI 2020) in
place of two convolutions; and the last map is not averaged but pooled by weights that are learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.network.operations import FloatArray, Operation

BLOCKS = 6
"""Two of each width."""
STRIDE = 16
"""Pixels of a crop to a pixel of the last map, each way."""
POOLING = "pool"
"""The operation that pools the last map, whose kernel is as large as that."""
STEM_CHANNELS = 64
"""At width 1."""
_WIDTHS = (256, 384, 512)
"""Channels of each pair of blocks at width 1."""
_STREAMS = 4
_NARROWER = 4
"""Channels inside a block are its own by this."""
_GATE_NARROWER = 16
_CONTEXT_GROUPS = 16
_EPSILON = 1e-5


def osnet(alpha: float, dimension: int, height_px: int, width_px: int) -> tuple[Operation, ...]:
    """The network with nothing learnt yet: (1, H, W, 3) RGB 0..255 → (1, D).

    Args:
        alpha: width; 0277 has 1, 0287 a half.
        dimension: of the embedding.
        height_px: of the crop, a multiple of 16.
        width_px: of the crop, likewise.
    """
    writer = _Writer(height_px, width_px)
    x = _stem(writer, round(STEM_CHANNELS * alpha))
    number = 1
    for index, wide in enumerate(_WIDTHS):
        channels = round(wide * alpha)
        x = _block(writer, x, f"block{number}", channels, context=False)
        x = _block(writer, x, f"block{number + 1}", channels, context=True)
        x = writer.convolution(f"block{number + 1}_last", x, channels, relu=True)
        if index < len(_WIDTHS) - 1:
            x = writer.halved(f"block{number + 1}_half", x)
        number += 2
    _embedding(writer, x, dimension)
    return tuple(writer.operations.values())


def filled(
    operations: Sequence[Operation], given: Sequence[Operation], origin: str
) -> tuple[Operation, ...]:
    """`osnet` with the constants of the same network under other names.

    Raises:
        TrainingError: it is another network.
    """
    if len(given) != len(operations):
        raise _another(origin, f"{len(operations)} operations", str(len(given)))
    pairs = list(zip(operations, given, strict=True))
    for operation, other in pairs:
        if _form(operation) != _form(other):
            raise _another(origin, _words(operation), _words(other))
    return tuple(
        replace(operation, constants=other.constants, scale=other.scale, shift=other.shift)
        for operation, other in pairs
    )


def resampled_pooling(kernel: FloatArray, height: int, width: int) -> FloatArray:
    """What pools a map by weights (C, 1, 1, h, w), for a map of another size.

    Each weight goes to the pixels that lie where its own was, by the area that they share, so that
    every channel's sum stays.
    """
    rows, columns = _shares(kernel.shape[-2], height), _shares(kernel.shape[-1], width)
    return np.asarray(rows @ kernel @ columns.T, np.float32)


def _shares(old: int, new: int) -> FloatArray:
    """(new, old): which part of each of `old` equal stretches lies in each of `new`."""
    begins, ends = np.arange(new) * old / new, np.arange(1, new + 1) * old / new
    cells = np.arange(old)
    shared = np.minimum(ends[:, None], cells + 1) - np.maximum(begins[:, None], cells)
    return np.asarray(np.clip(shared, 0, 1), np.float32)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes operations down one by one; each gives its name back."""

    height_px: int
    width_px: int
    operations: dict[str, Operation] = field(default_factory=dict)

    def add(
        self,
        name: str,
        kind: str,
        sources: Sequence[str],
        shape: tuple[int, ...],
        constants: tuple[FloatArray, ...] = (),
        **more: Any,
    ) -> str:
        self.operations[name] = Operation(
            name, kind, tuple(sources), constants, (1, *shape), **more
        )
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        return self.operations[name].shape[1:]

    def convolution(
        self, name: str, x: str, channels: int, *, relu: bool = False, bias: bool = True
    ) -> str:
        """1×1."""
        *places, inputs = self.shape(x)
        return self.add(
            name,
            "Convolution",
            [x],
            (*places, channels),
            constants=(np.zeros((channels, inputs, 1, 1), np.float32),),
            shift=np.zeros(channels, np.float32) if bias else None,
            relu=relu,
        )

    def light(self, name: str, x: str) -> str:
        """A linear 1×1 convolution and a depthwise 3×3 one."""
        *places, channels = self.shape(x)
        x = self.convolution(f"{name}_point", x, channels, bias=False)
        return self.add(
            f"{name}_depth",
            "GroupConvolution",
            [x],
            (*places, channels),
            constants=(np.zeros((channels, 1, 1, 3, 3), np.float32),),
            shift=np.zeros(channels, np.float32),
            relu=True,
            pad=1,
        )

    def norm(self, name: str, x: str, *, relu: bool = False) -> str:
        shape = self.shape(x)
        return self.add(
            name, "MVN", [x], shape, constants=(_epsilon(1),), relu=relu, **_affine(shape[-1])
        )

    def halved(self, name: str, x: str) -> str:
        height, width, channels = self.shape(x)
        shape = (height // 2, width // 2, channels)
        return self.add(name, "AvgPool", [x], shape, stride=2, window=2)


def _stem(writer: _Writer, channels: int) -> str:
    height, width = writer.height_px, writer.width_px
    picture = writer.add("image", "Parameter", [], (height, width, 3))
    x = writer.add(
        "stem_normalise",
        "MVN",
        [picture],
        (height, width, 3),
        constants=(_epsilon(3),),
        **_affine(3),
    )
    x = writer.add(
        "stem_conv",
        "Convolution",
        [x],
        (height // 2, width // 2, channels),
        constants=(np.zeros((channels, 3, 7, 7), np.float32),),
        stride=2,
        pad=3,
    )
    x = writer.norm("stem_norm", x, relu=True)
    shape = (height // 4, width // 4, channels)
    return writer.add("stem_pool", "MaxPool", [x], shape, stride=2, pad=1, window=3)


def _block(writer: _Writer, entry: str, name: str, channels: int, *, context: bool) -> str:
    narrow = channels // _NARROWER
    x = writer.convolution(f"{name}_narrow", entry, narrow, relu=True)
    gate = _context_gate if context else _gate
    total = ""
    for stream in range(1, _STREAMS + 1):
        seen = x
        for depth in range(1, stream + 1):
            seen = writer.light(f"{name}_stream{stream}_{depth}", seen)
        gated = gate(writer, f"{name}_stream{stream}", seen)
        if total:
            shape = writer.shape(gated)
            gated = writer.add(f"{name}_sum{stream}", "Add", [total, gated], shape)
        total = gated
    wide = writer.convolution(f"{name}_wide", total, channels)
    if writer.shape(entry)[-1] != channels:
        entry = writer.convolution(f"{name}_shortcut", entry, channels)
    return writer.add(f"{name}_add", "Add", [wide, entry], writer.shape(wide), relu=True)


def _gate(writer: _Writer, name: str, x: str) -> str:
    """Channels weighted by two convolutions of their means (Hu et al., CVPR 2018)."""
    channels = writer.shape(x)[-1]
    means = writer.add(f"{name}_mean", "ReduceMean", [x], (1, 1, channels))
    few = writer.convolution(f"{name}_few", means, channels // _GATE_NARROWER, relu=True)
    all_again = writer.convolution(f"{name}_all", few, channels)
    return _gated(writer, name, x, all_again)


def _context_gate(writer: _Writer, name: str, x: str) -> str:
    """Channels weighted by their means, normalised within groups."""
    channels = writer.shape(x)[-1]
    means = writer.add(f"{name}_mean", "ReduceMean", [x], (1, 1, channels))
    grouped = (_CONTEXT_GROUPS, channels // _CONTEXT_GROUPS)
    groups = writer.add(f"{name}_groups", "Reshape", [means], grouped)
    normal = writer.add(f"{name}_normal", "MVN", [groups], grouped, constants=(_epsilon(1),))
    context = writer.add(
        f"{name}_context", "Reshape", [normal], (1, 1, channels), **_affine(channels)
    )
    return _gated(writer, name, x, context)


def _gated(writer: _Writer, name: str, x: str, weights: str) -> str:
    gate = writer.add(f"{name}_gate", "Sigmoid", [weights], writer.shape(weights))
    return writer.add(f"{name}_gated", "Multiply", [x, gate], writer.shape(x))


def _embedding(writer: _Writer, x: str, dimension: int) -> None:
    height, width, channels = writer.shape(x)
    x = writer.add(
        POOLING,
        "GroupConvolution",
        [x],
        (1, 1, channels),
        constants=(np.full((channels, 1, 1, height, width), 1 / (height * width), np.float32),),
        shift=np.zeros(channels, np.float32),
    )
    x = writer.add("embedding_row", "Reshape", [x], (channels,))
    x = writer.add(
        "embedding_dense",
        "MatMul",
        [x],
        (dimension,),
        constants=(np.zeros((channels, dimension), np.float32),),
        shift=np.zeros(dimension, np.float32),
    )
    x = writer.add("embedding_affine", "Reshape", [x], (dimension,), **_affine(dimension))
    slope = np.full((1, 1), 0.25, np.float32)
    x = writer.add("embedding_prelu", "PReLU", [x], (dimension,), constants=(slope,))
    writer.add("embedding", "Reshape", [x], (dimension,))


def _affine(channels: int) -> dict[str, Any]:
    return {"scale": np.ones(channels, np.float32), "shift": np.zeros(channels, np.float32)}


def _epsilon(channels: int) -> FloatArray:
    return np.full(channels, _EPSILON, np.float32)


def _form(operation: Operation) -> tuple[object, ...]:
    """What two operations have in common that compute the same of the same constants."""
    return (
        operation.kind,
        operation.shape,
        tuple(array.shape for array in operation.constants),
        operation.scale is None,
        operation.shift is None,
        operation.relu,
        operation.stride,
        operation.pad,
    )


def _words(operation: Operation) -> str:
    return f"{operation.kind} {operation.name} of {operation.shape[1:]}"


def _another(origin: str, expected: str, got: str) -> TrainingError:
    return TrainingError(
        f"{origin}: expected the OSNet of person-reidentification-retail-0277 or -0287, with "
        f"{expected}, got {got}"
    )
