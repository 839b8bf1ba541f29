"""Exact search of a whole gallery in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Candidate, GallerySnapshot, Vector, Vectors

ROUNDING = 1e-5
"""BLAS adds up the columns at the edge of a matrix in another order than those in its middle, on
some processors: the same vector twice gives similarities about so much apart at most."""


def exact_similarities(vector: Vector, templates: Vectors | NDArray[np.float64]) -> Vector:
    """Cosine of a unit vector with each of (N, D) unit templates: (N,) float32.

    Added up in double precision, row by row: the same wherever a template stands.

    >>> exact_similarities(np.array([0.6, 0.8]), np.eye(2))
    array([0.6, 0.8], dtype=float32)
    """
    rows = np.ascontiguousarray(templates, np.float64)
    return np.asarray((rows * vector).sum(axis=1), np.float32)


class Index:
    """A snapshot laid out for search: templates of one identity beside each other.

    The similarity of an identity is that of its nearest template.
    """

    def __init__(self, snapshot: GallerySnapshot) -> None:
        order = np.argsort(snapshot.labels, kind="stable")
        labels = snapshot.labels[order]
        # (D, N): BLAS streams through a matrix of this layout twice as fast as through (N, D)
        self._columns = np.ascontiguousarray(snapshot.vectors[order].T)
        self._starts = np.flatnonzero(np.diff(labels, prepend=-1))
        self._ends = np.append(self._starts[1:], len(labels))
        self.identities = tuple(snapshot.identities[label] for label in labels[self._starts])
        self._enrolled = frozenset(self.identities)
        self.model_id = snapshot.model_id
        self.version = snapshot.version

    def __len__(self) -> int:
        """How many templates it holds."""
        return int(self._columns.shape[1])

    def __contains__(self, identity: object) -> bool:
        """Whether somebody of this name is enrolled."""
        return identity in self._enrolled

    def search(self, vector: Vector, k: int = 5) -> tuple[Candidate, ...]:
        """The k nearest identities by falling similarity; equals in the order of the snapshot.

        >>> gallery = GallerySnapshot(
        ...     ("anna", "ben"), np.array([0, 1]), np.eye(2, dtype=np.float32), "model", 1
        ... )
        >>> Index(gallery).search(np.array([0.6, 0.8], np.float32), k=1)[0].identity
        'ben'

        Raises:
            GalleryError: the vector has not the gallery's dimension.
        """
        if vector.shape != self._columns.shape[:1]:
            raise GalleryError(
                f"expected a vector of {self._columns.shape[0]} numbers, got shape {vector.shape}; "
                "embed with the gallery's model"
            )
        if not self.identities or k < 1:
            return ()
        best = np.maximum.reduceat(vector @ self._columns, self._starts)
        near = [(number, self._similarity(number, vector)) for number in _about_largest(best, k)]
        near.sort(key=lambda identity: -identity[1])
        return tuple(Candidate(self.identities[number], value) for number, value in near[:k])

    def _similarity(self, identity: int, vector: Vector) -> float:
        """Similarity to an identity's nearest template, the same wherever that stands."""
        start, end = self._starts[identity], self._ends[identity]
        return float(exact_similarities(vector, self._columns[:, start:end].T).max())


def _about_largest(values: Vector, k: int) -> list[int]:
    """Positions of the k largest, rising, and of all that only rounding may keep from them.

    >>> _about_largest(np.array([0.1, 0.9, 0.5, 0.899999]), 1)
    [1, 3]
    """
    if k >= len(values):
        return list(range(len(values)))
    least = np.partition(values, len(values) - k)[len(values) - k]
    return [int(position) for position in np.flatnonzero(values >= least - ROUNDING)]
