"""An archive in a folder: its files, and the approximate index beside them."""

from __future__ import annotations

from edge_reid.archive.ann_upkeep import EXACT_TRACKS, current_ann, has_faiss
from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archive_search import search_archive
from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.archived_track import VideoTracks
from edge_reid.archive.track_archive import TrackArchive
from edge_reid.core.extras import how_to_install
from edge_reid.core.progress import StageProgress, of_stage
from edge_reid.core.types import Vector


class FolderArchive:
    """An `ArchiveStore` of a folder's files.

    Args:
        files: the folder.
    """

    def __init__(self, files: TrackArchive) -> None:
        self._files = files

    @property
    def models(self) -> ArchiveModels:
        return self._files.models

    def has(self, sha256: str) -> bool:
        return self._files.has(sha256)

    def add(self, video: VideoTracks) -> int:
        self._files.add(video)
        return len(video.tracks)

    def make_index(self, progress: StageProgress) -> None:
        current_ann(self._files, self._files.videos(), of_stage("making an index", progress))

    def find(
        self, vector: Vector, *, top: int, camera: str | None, progress: StageProgress
    ) -> ArchiveFindings:
        return search_archive(self._files, vector, top=top, camera=camera, progress=progress)

    def advice(self, found: ArchiveFindings) -> str | None:
        if not found.is_exact or found.tracks <= EXACT_TRACKS or has_faiss():
            return None
        return (
            f"{found.tracks} tracks were compared one by one; with faiss-cpu the next search "
            f"makes an index of them: {how_to_install('archive')}"
        )
