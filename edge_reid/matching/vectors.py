"""Embeddings: brought to unit norm, and as bytes that are the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.types import Vector, Vectors

SHORTEST = 1e-9
"""A vector that is shorter is rounding, not a direction."""
UNIT_TOLERANCE = 1e-3
"""How far a norm may be from one: more than rounding does, less than any mistake."""

_STORED = np.dtype("<f4")


def unit(vector: Vector | NDArray[np.float64]) -> Vector:
    """The direction of a vector: (D,) float32 of L2 norm 1; zeros where it has none.

    >>> unit(np.array([3.0, 4.0]))
    array([0.6, 0.8], dtype=float32)
    >>> unit(np.array([1e-12, 0.0]))
    array([0., 0.], dtype=float32)
    """
    norm = np.linalg.norm(vector)
    if norm < SHORTEST:
        return np.zeros(len(vector), np.float32)
    return np.asarray(vector / norm, np.float32)


def unit_rows(rows: Vectors | NDArray[np.float64]) -> Vectors:
    """`unit` of each row: (N, D) float32.

    >>> unit_rows(np.array([[0.0, 2.0], [0.0, 0.0]]))
    array([[0., 1.],
           [0., 0.]], dtype=float32)
    """
    directions = np.empty(rows.shape, np.float32)
    for direction, row in zip(directions, rows, strict=True):
        direction[:] = unit(row)
    return directions


def unit_mean(embeddings: Vectors) -> Vector:
    """(D,) direction of the mean of (N, D), unweighted; zeros when it vanishes.

    >>> unit_mean(np.array([[1.0, 0.0], [0.0, 1.0]])).round(3)
    array([0.707, 0.707], dtype=float32)
    """
    return unit(embeddings.mean(axis=0))


def pack(vector: Vector) -> bytes:
    """(D,) float32 as 4 × D bytes, little-endian.

    >>> pack(np.array([1.0, 0.0], np.float32)).hex()
    '0000803f00000000'
    """
    return vector.astype(_STORED).tobytes()


def vector_sha256(vector: Vector) -> str:
    """Hex, of what `pack` gives: what a template made of no photo has for its source."""
    return hashlib.sha256(pack(vector)).hexdigest()


def pack_coarsely(vector: Vector) -> bytes:
    """(D,) of unit norm as D bytes, for a message: int8 of which the largest is 127.

    Moves a similarity by 2e-3 at most (256 numbers, 148 tracks of 74 people).

    >>> pack_coarsely(np.array([0.6, -0.8], np.float32)).hex()
    '5f81'
    """
    whole: NDArray[np.int8] = np.round(vector * (127.0 / np.abs(vector).max())).astype(np.int8)
    return whole.tobytes()


def unpack_coarsely(body: bytes, dimension: int) -> Vector:
    """(D,) float32 of unit norm from what `pack_coarsely` gave.

    >>> [round(float(number), 2) for number in unpack_coarsely(bytes.fromhex("5f81"), 2)]
    [0.6, -0.8]

    Raises:
        ValueError: it has another length, or no direction.
    """
    if len(body) != dimension:
        raise ValueError(f"expected a vector of {dimension} numbers, got {len(body)}")
    vector = unit(np.frombuffer(body, np.int8).astype(np.float32))
    if not vector.any():
        raise ValueError("expected a vector with a direction, got zeros")
    return vector


def unpack(blobs: Sequence[bytes], dimension: int) -> Vectors:
    """(N, D) float32 from what `pack` gave for each row.

    >>> unpack([pack(np.array([0.0, 1.0], np.float32))], 2)
    array([[0., 1.]], dtype=float32)

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
    """Whether every row of (N, D) has unit norm; one that holds a NaN has not.

    >>> are_unit(np.array([[0.6, 0.8], [1.0, 0.0]])), are_unit(np.array([[1.0, 1.0]]))
    (True, False)
    """
    with np.errstate(over="ignore", invalid="ignore"):  # numbers that no vector of ours has
        norms = np.linalg.norm(vectors, axis=1)
    return bool(np.all(np.abs(norms - 1.0) <= UNIT_TOLERANCE))
