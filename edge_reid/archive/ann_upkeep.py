"""The approximate index beside an archive: made when it is needed, and never older than a deletion.

Videos that came since are searched exactly beside it, until they are many. One of which a video is
gone, or was written again, is thrown away: it holds something of people who were deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge_reid.archive.ann_file import AnnDamageError, AnnFile
from edge_reid.archive.track_archive import ArchivedVideo, TrackArchive
from edge_reid.core.errors import StoreError
from edge_reid.core.files import remove_abandoned_drafts
from edge_reid.core.progress import Progress

if TYPE_CHECKING:
    from edge_reid.archive.ann_index import AnnIndex

EXACT_TRACKS = 250_000
"""So many are searched exactly within 100 ms (`tests/bench/archive_search.py`)."""
OUTGROWN = 4
"""An index of so many times the tracks that its centroids were chosen from is made anew."""


class AnnUpkeepError(StoreError):
    """The index beside an archive cannot be written or deleted. The archive is as it was."""


def has_faiss() -> bool:
    """Whether the extra `archive` is installed."""
    return find_spec("faiss") is not None


def ann_path(archive: TrackArchive) -> Path:
    """Where the index of an archive is, or would be."""
    return archive.folder / "tracks.ann"


def throw_away(archive: TrackArchive) -> None:
    """Delete the index of an archive.

    Raises:
        AnnUpkeepError: it cannot be deleted.
    """
    path = ann_path(archive)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise AnnUpkeepError(
            f"{path}: expected to delete an index that is damaged or of videos that are gone, got: "
            f"{error.strerror}; delete it"
        ) from error


def throw_away_stale(archive: TrackArchive, videos: Sequence[ArchivedVideo]) -> AnnFile | None:
    """The index that is there, unless it is damaged, or a video of it has gone or has changed: then
    it is deleted, as is what a killed process has left of one.

    Args:
        archive: the folder.
        videos: that it has now.

    Raises:
        AnnUpkeepError: it cannot be deleted.
    """
    with suppress(OSError):  # an archive that may only be read is searched all the same
        remove_abandoned_drafts(archive.folder)
    try:
        file = AnnFile(ann_path(archive))
        if not {known.video for known in file.contents.videos}.difference(videos):
            return file
    except FileNotFoundError:
        return None
    except AnnDamageError:
        pass
    throw_away(archive)
    return None


def current_ann(
    archive: TrackArchive,
    videos: Sequence[ArchivedVideo],
    progress: Progress,
    *,
    exact_tracks: int = EXACT_TRACKS,
) -> AnnIndex | None:
    """The index to search with, made or extended first if need be.

    Args:
        archive: the folder.
        videos: that it has now.
        progress: called with the tracks done, and all, while one is made.
        exact_tracks: for so many no index is made, nor extended.

    Returns:
        None: exact search is fast enough, or FAISS is not installed.

    Raises:
        AnnUpkeepError: the index cannot be written, or one that is stale not be deleted.
        StoreError: a file of the archive is damaged.
    """
    file = throw_away_stale(archive, videos)
    if _tracks(videos) <= exact_tracks or not has_faiss():
        return None
    from edge_reid.archive.ann_index import AnnIndex  # noqa: PLC0415 - an extra

    try:
        return AnnIndex(_brought_up(file, archive, videos, progress, exact_tracks))
    except AnnDamageError:
        throw_away(archive)
        return AnnIndex(_brought_up(None, archive, videos, progress, exact_tracks))


def _brought_up(
    file: AnnFile | None,
    archive: TrackArchive,
    videos: Sequence[ArchivedVideo],
    progress: Progress,
    exact_tracks: int,
) -> AnnFile:
    """The file as it is, with new videos if they are many, or made anew."""
    from edge_reid.archive.ann_building import (  # noqa: PLC0415 - an extra
        AnnSource,
        build_ann,
        extend_ann,
    )

    known = {found.video for found in file.contents.videos} if file else set()
    new = [video for video in videos if video not in known]
    path = ann_path(archive)
    try:
        if file is None or _tracks(videos) > OUTGROWN * file.contents.trained_on:
            build_ann(path, AnnSource(archive, videos, progress))
        elif _tracks(new) > exact_tracks:
            extend_ann(file, AnnSource(archive, new, progress))
        else:
            return file
        return AnnFile(path)
    except OSError as error:
        raise AnnUpkeepError(
            f"{path}: expected to write an index there, got: {error.strerror}; make room, or let "
            "yourself write into the archive"
        ) from error


def _tracks(videos: Sequence[ArchivedVideo]) -> int:
    return sum(video.tracks for video in videos)
