"""An archive of recorded video that nobody recorded: as `edge-reid index` leaves one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.simulated_embeddings import DIMENSION, SimulatedPeople

from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.archived_track import ArchivedTrack, VideoTracks
from edge_reid.archive.track_archive import TrackArchive

MODELS = ArchiveModels("0" * 16, DIMENSION, "0" * 64)


def write_archive(
    folder: Path,
    people: SimulatedPeople,
    *,
    tracks_a_video: int,
    cameras: int = 20,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> TrackArchive:
    """The tracks of a crowd, `tracks_a_video` in each, the cameras in turn.

    Whose the tracks are is `people.whose[track_id]`.
    """
    archive = TrackArchive.create(folder, MODELS)
    done = 0
    for number, vectors in enumerate(people.tracks(tracks_a_video)):
        camera = f"camera-{number % cameras}"
        rows = range(done, done + len(vectors))
        tracks = tuple(a_track(f"{number}.mp4", camera, row) for row in rows)
        archive.add(VideoTracks(sha256_of(number), tracks, vectors))
        done += len(vectors)
        progress(done, len(people.whose))
    return archive


def sha256_of(number: int) -> str:
    """What stands for the hash of a video: they sort as their numbers."""
    return f"{number:064x}"


def a_track(video: str, camera: str, track_id: int) -> ArchivedTrack:
    at = "2026-03-01T12:00:00.000Z"
    box, size = (600.0, 200.0, 660.0, 380.0), (1920, 1080)
    return ArchivedTrack(video, camera, track_id, at, at, at, box, size, 5)
