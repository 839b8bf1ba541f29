"""An OSNet of half width whose constants are drawn at random, as if it had learnt something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trainer.network.operations import FloatArray, Operation
from trainer.network.osnet import osnet

ALPHA, DIMENSION = 0.5, 12


def drawn_osnet(height_px: int = 64, width_px: int = 32, seed: int = 4) -> tuple[Operation, ...]:
    """The operations, of which every array is another than the one it began with."""
    rng = np.random.default_rng(seed)
    return tuple(_drawn(each, rng) for each in osnet(ALPHA, DIMENSION, height_px, width_px))


def _drawn(operation: Operation, rng: np.random.Generator) -> Operation:
    def moved(array: FloatArray) -> FloatArray:
        return (array + rng.normal(0, 0.2, array.shape)).astype(np.float32)

    if operation.kind in {"MVN", "PReLU"}:
        constants = operation.constants
    else:  # as large as keeps what comes out as large as what goes in (He et al., ICCV 2015)
        constants = tuple(
            rng.normal(0, (2 / _inputs(each)) ** 0.5, each.shape).astype(np.float32)
            for each in operation.constants
        )
    return replace(
        operation,
        constants=constants,
        scale=None if operation.scale is None else moved(operation.scale),
        shift=None if operation.shift is None else moved(operation.shift),
    )


def _inputs(kernel: FloatArray) -> int:
    return int(np.prod(kernel.shape[1:])) if kernel.ndim > 2 else kernel.shape[0]
