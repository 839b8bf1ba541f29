"""Exact search of a whole gallery in memory."""

from __future__ import annotations

import numpy as np

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Candidate, GallerySnapshot, Vector


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
        return tuple(
            Candidate(self.identities[number], float(best[number])) for number in _largest(best, k)
        )


def _largest(values: Vector, k: int) -> list[int]:
    """Where the k largest are, by falling value, equals in their order."""
    if k < len(values):
        least = np.partition(values, len(values) - k)[len(values) - k]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    ranked = places[np.argsort(-values[places], kind="stable")]
    return [int(place) for place in ranked[:k]]
