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
    vector: Vector,
    tracks: Sequence[ArchivedTrack],
    vectors: Vectors,
    *,
    top: int,
    camera: str | None = None,
) -> tuple[ArchiveMatch, ...]:
    """The tracks most like somebody, by falling similarity; of equal ones the earlier first.

    Args:
        vector: (D,), of the photos of one person.
        tracks: N of them.
        vectors: (N, D), theirs.
        top: so many at most.
        camera: only of this one; None: of all.
    """
    rows = np.arange(len(tracks))
    if camera is not None:
        rows = np.flatnonzero([track.camera == camera for track in tracks])
    similarities = vectors[rows] @ vector if camera is not None else vectors @ vector
    if top < len(rows):
        nearest = np.argpartition(-similarities, top - 1)[:top]
        rows, similarities = rows[nearest], similarities[nearest]
    order = np.lexsort((rows, -similarities))
    return tuple(ArchiveMatch(tracks[rows[at]], float(similarities[at])) for at in order)
