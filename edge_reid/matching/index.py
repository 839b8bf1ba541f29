"""Exact search of a whole gallery in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Candidate, GallerySnapshot, Vector, Vectors

ROUNDING = 1e-5
"""BLAS adds up the columns at the edge of a matrix in another order than those in its middle, on
some processors: the same vector twice gives similarities about so much apart at most."""
LEAST_LENGTH = 0.1
"""Of the mean of a person's templates, for it to be a direction: it makes rounding so much larger.
Templates of one person have 0.7 and more."""
_PEOPLE_AT_ONCE = 1024
"""Whose templates are summed up: in double precision they stay in a processor's cache."""


def exact_similarities(vector: Vector, templates: Vectors | NDArray[np.float64]) -> Vector:
    """Cosine of a unit vector with each of (N, D) unit templates: (N,) float32.

    Added up in double precision, row by row: the same wherever a template stands.

    >>> exact_similarities(np.array([0.6, 0.8]), np.eye(2))
    array([0.6, 0.8], dtype=float32)
    """
    rows = np.ascontiguousarray(templates, np.float64)
    return np.asarray((rows * vector).sum(axis=1), np.float32)


def person_similarity(to_templates: Vector, summed_length: float) -> float:
    """Cosine with one person: with the nearest template, or with the mean of them all if larger.

    >>> person_similarity(np.array([0.6, 0.8]), summed_length=2**0.5)  # of two axes
    0.9899494647979736

    Args:
        to_templates: (n,) similarities to the templates.
        summed_length: of the sum of the templates (`summed_lengths`).
    """
    fused = np.sum(to_templates, dtype=np.float64) / summed_length
    return float(np.float32(max(to_templates.max(), fused)))


def summed_lengths(templates: Vectors, starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Length of the sum of each person's templates, (people,) float64.

    1 for a single template. Templates that nearly cancel (`LEAST_LENGTH`) have no direction; their
    number stands in, with which a mean is never more alike than the nearest.

    >>> summed_lengths(np.array([[1, 0], [0, 1], [0, 1.0]]), np.array([0, 2]))
    array([1.41421356, 1.        ])

    Args:
        templates: (N, D) unit rows, those of a person side by side.
        starts: (people,) first row of each.
    """
    counts = np.diff(starts, append=len(templates))
    lengths = np.empty(len(starts))
    for first in range(0, len(starts), _PEOPLE_AT_ONCE):
        part = slice(first, first + _PEOPLE_AT_ONCE)
        begin, end = starts[first], starts[first] + counts[part].sum()
        rows = templates[begin:end].astype(np.float64)  # exact in any order, but for rounding
        sums = np.add.reduceat(rows, starts[part] - begin, axis=0)
        lengths[part] = np.linalg.norm(sums, axis=1)
    return np.where((counts == 1) | (lengths < LEAST_LENGTH * counts), counts, lengths)


class Index:
    """A snapshot laid out for search: templates of one identity beside each other.

    The similarity of an identity is that of its nearest template or, fused, of the direction of
    the mean of all its templates, whichever is larger.

    Args:
        snapshot: the gallery.
        fuse: whether the means count; the thresholds must be of people then, not of templates
            (`GalleryThresholds`).
    """

    def __init__(self, snapshot: GallerySnapshot, *, fuse: bool = False) -> None:
        order = np.argsort(snapshot.labels, kind="stable")
        labels = snapshot.labels[order]
        # (D, N): BLAS streams through a matrix of this layout twice as fast as through (N, D)
        rows = snapshot.vectors[order]
        self._columns = np.ascontiguousarray(rows.T)
        self._starts = np.flatnonzero(np.diff(labels, prepend=-1))
        self._ends = np.append(self._starts[1:], len(labels))
        self._lengths = summed_lengths(rows, self._starts) if fuse else None
        self.identities = tuple(snapshot.identities[label] for label in labels[self._starts])
        self._enrolled = frozenset(self.identities)
        self.model_id = snapshot.model_id
        self.version = snapshot.version

    @property
    def templates_each(self) -> tuple[int, ...]:
        """How many templates each of `identities` has."""
        return tuple((self._ends - self._starts).tolist())

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
        best = self._similarities(vector @ self._columns)
        rounding = ROUNDING if self._lengths is None else ROUNDING / LEAST_LENGTH
        chosen = _about_largest(best, k, rounding)
        near = [(number, self._similarity(number, vector)) for number in chosen]
        near.sort(key=lambda identity: -identity[1])
        return tuple(Candidate(self.identities[number], value) for number, value in near[:k])

    def _similarities(self, to_templates: Vector) -> Vector:
        """(identities,) of the similarities to all templates (N,)."""
        nearest: Vector = np.maximum.reduceat(to_templates, self._starts)
        if self._lengths is None:
            return nearest
        fused = np.add.reduceat(to_templates, self._starts) / self._lengths
        return np.asarray(np.maximum(nearest, fused), np.float32)

    def _similarity(self, identity: int, vector: Vector) -> float:
        """Similarity to an identity, the same wherever its templates stand."""
        start, end = self._starts[identity], self._ends[identity]
        found = exact_similarities(vector, self._columns[:, start:end].T)
        if self._lengths is None:
            return float(found.max())
        return person_similarity(found, self._lengths[identity])


def _about_largest(values: Vector, k: int, rounding: float) -> list[int]:
    """Positions of the k largest, rising, and of all that only rounding may keep from them.

    >>> _about_largest(np.array([0.1, 0.9, 0.5, 0.899999]), 1, rounding=1e-5)
    [1, 3]
    """
    if k >= len(values):
        return list(range(len(values)))
    least = np.partition(values, len(values) - k)[len(values) - k]
    return [int(position) for position in np.flatnonzero(values >= least - rounding)]
