"""Who in an archive is most like somebody: exact, over all tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.archive.track_archive import ArchivedTrack
from edge_reid.core.types import Vector, Vectors


@dataclass(frozen=True, slots=True)
class ArchiveMatch:
    """A track, and how much it is like who is looked for."""

    track: ArchivedTrack
    similarity: float
    """Cosine."""


def nearest_tracks(
    vector: Vector, tracks: Sequence[ArchivedTrack], vectors: Vectors, *, top: int
) -> tuple[ArchiveMatch, ...]:
    """The tracks most like somebody, by falling similarity; of equal ones the earlier first.

    Args:
        vector: (D,), of the photos of one person.
        tracks: N of them.
        vectors: (N, D), theirs.
        top: so many at most.
    """
    similarities = vectors @ vector
    least = np.partition(similarities, -top)[-top] if top < len(similarities) else -np.inf
    rows = np.flatnonzero(similarities >= least)  # equal ones at the end may be more than asked for
    order = rows[np.argsort(-similarities[rows], kind="stable")][:top]
    return tuple(ArchiveMatch(tracks[at], float(similarities[at])) for at in order)
