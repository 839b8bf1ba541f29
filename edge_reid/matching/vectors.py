"""Embeddings as bytes, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_reid.core.types import Vector, Vectors

UNIT_TOLERANCE = 1e-3
"""How far a norm may be from one: more than rounding does, less than any mistake."""

_STORED = np.dtype("<f4")


def pack(vector: Vector) -> bytes:
    """(D,) float32 as 4 × D bytes, little-endian."""
    return vector.astype(_STORED).tobytes()


def unpack(blobs: Sequence[bytes], dimension: int) -> Vectors:
    """(N, D) float32 from what `pack` gave for each row.

    Raises:
        ValueError: a row has another length, or not unit norm.
    """
    if any(len(blob) != dimension * _STORED.itemsize for blob in blobs):
        raise ValueError(f"expected vectors of {dimension} numbers")
    vectors = np.frombuffer(b"".join(blobs), _STORED).astype(np.float32).reshape(-1, dimension)
    if not are_unit(vectors):
        raise ValueError("expected vectors of unit norm")
    return vectors


def are_unit(vectors: Vectors) -> bool:
    """Whether every row of (N, D) has unit norm; one that holds a NaN has not."""
    with np.errstate(over="ignore", invalid="ignore"):  # numbers that no vector of ours has
        norms = np.linalg.norm(vectors, axis=1)
    return bool(np.all(np.abs(norms - 1.0) <= UNIT_TOLERANCE))
