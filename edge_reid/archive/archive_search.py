"""Who in an archive is most like somebody: exact over all tracks, or by an index of most."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_reid.archive.ann_file import AnnDamageError
from edge_reid.archive.ann_upkeep import EXACT_TRACKS, AnnUpkeepError, current_ann, throw_away
from edge_reid.archive.archive_findings import ArchiveFindings, ArchiveMatch
from edge_reid.archive.track_archive import ArchivedVideo, TrackArchive
from edge_reid.core.progress import Progress, StageProgress, no_progress, of_stage
from edge_reid.core.types import Vector

if TYPE_CHECKING:
    from edge_reid.archive.ann_index import AnnIndex, IndexedTrack

_log = logging.getLogger(__name__)

PROPOSED = 4
"""Times as many tracks as are asked for are taken from an index, and compared by their own
embeddings: its 8 bits a number order those that are nearly alike wrongly."""


@dataclass(frozen=True, slots=True)
class _Scored:
    """A track by its place; sorted, the most alike come first."""

    video: ArchivedVideo
    row: int
    similarity: float

    @property
    def rank(self) -> tuple[float, str, int]:
        return -self.similarity, self.video.sha256, self.row


class ArchiveSearch:
    """Searches an archive as it is now.

    Args:
        archive: the folder.
        videos: that it has.
        index: of some of them; the others are searched exactly.
        exact_tracks: so many of one camera are searched exactly, too.
    """

    def __init__(
        self,
        archive: TrackArchive,
        videos: Sequence[ArchivedVideo],
        index: AnnIndex | None = None,
        exact_tracks: int = EXACT_TRACKS,
    ) -> None:
        known = index.contents.videos if index else ()
        indexed = {found.video for found in known}
        self._archive, self._index, self._known = archive, index, known
        self._exact_tracks = exact_tracks
        self._others = [video for video in videos if video not in indexed]

    def find(
        self,
        vector: Vector,
        *,
        top: int,
        camera: str | None = None,
        progress: Progress = no_progress,
    ) -> ArchiveFindings:
        """The tracks most like somebody.

        Args:
            vector: (D,), of the photos of one person.
            top: so many at most.
            camera: only its tracks.
            progress: called with the videos searched exactly, and all of those.

        Raises:
            AnnDamageError: the index is damaged where it was to be searched.
            StoreError: a file of the archive is damaged.
        """
        shown = [known.video for known in self._known if camera in {None, known.camera}]
        indexed = sum(video.tracks for video in shown)
        index = self._index if indexed > self._exact_tracks else None
        exactly = self._others if index else [*self._others, *shown]
        scored, tracks = self._compared(vector, exactly, top, camera, progress)
        if index:
            scored += self._proposed(index, vector, top, camera)
            tracks += indexed
        best = sorted(scored, key=lambda found: found.rank)[:top]
        matches = tuple(
            ArchiveMatch(self._archive.track(found.video, found.row), found.similarity)
            for found in best
        )
        return ArchiveFindings(matches, tracks, is_exact=index is None)

    def _compared(
        self,
        vector: Vector,
        videos: Sequence[ArchivedVideo],
        top: int,
        camera: str | None,
        progress: Progress,
    ) -> tuple[list[_Scored], int]:
        """The best of every video, and the tracks that were compared."""
        scored, tracks = list[_Scored](), 0
        for number, video in enumerate(videos, 1):
            progress(number, len(videos))
            if camera is not None and camera != self._archive.camera(video):
                continue
            similarities = self._archive.vectors(video) @ vector
            best = _best(similarities, top)
            scored += [_Scored(video, int(row), float(similarities[row])) for row in best]
            tracks += video.tracks
        return scored, tracks

    def _proposed(
        self, index: AnnIndex, vector: Vector, top: int, camera: str | None
    ) -> list[_Scored]:
        """What the index proposes, with true similarities."""
        proposed = index.nearest(vector, PROPOSED * top, camera)
        scored = list[_Scored]()
        for video, rows in _by_video(proposed):
            similarities = self._archive.vectors_at(video, rows) @ vector
            scored += [
                _Scored(video, row, float(similarity))
                for row, similarity in zip(rows, similarities, strict=True)
            ]
        return scored


def search_archive(
    archive: TrackArchive,
    vector: Vector,
    *,
    top: int,
    camera: str | None = None,
    progress: StageProgress,
    exact_tracks: int = EXACT_TRACKS,
) -> ArchiveFindings:
    """`ArchiveSearch.find`, with an index where one helps; it is made, or made anew, first.

    Where none can be written, a line in the log says so, and all tracks are compared.

    Raises:
        StoreError: a file of the archive is damaged.
    """
    videos = archive.videos()

    def find() -> ArchiveFindings:
        index = _index_or_none(archive, videos, progress, exact_tracks)
        search = ArchiveSearch(archive, videos, index, exact_tracks)
        compared = of_stage("comparing", progress)
        return search.find(vector, top=top, camera=camera, progress=compared)

    try:
        return find()
    except AnnDamageError:
        throw_away(archive)
        return find()


def _index_or_none(
    archive: TrackArchive,
    videos: Sequence[ArchivedVideo],
    progress: StageProgress,
    exact_tracks: int,
) -> AnnIndex | None:
    making = of_stage("making an index", progress)
    try:
        return current_ann(archive, videos, making, exact_tracks=exact_tracks)
    except AnnUpkeepError as error:
        _log.warning("%s. All tracks are compared", error)
        return None


def _best(similarities: Vector, top: int) -> NDArray[np.intp]:
    """Rows of the largest; of equal ones the earlier."""
    least = np.partition(similarities, -top)[-top] if top < len(similarities) else -np.inf
    rows = np.flatnonzero(similarities >= least)
    return rows[np.argsort(-similarities[rows], kind="stable")][:top]


def _by_video(proposed: Sequence[IndexedTrack]) -> Iterator[tuple[ArchivedVideo, list[int]]]:
    ordered = sorted(proposed, key=lambda found: (found.known.video.sha256, found.row))
    for video, found in groupby(ordered, key=lambda found: found.known.video):
        yield video, [track.row for track in found]
