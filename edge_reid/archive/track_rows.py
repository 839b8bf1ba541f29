"""Tracks as rows of PostgreSQL, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from edge_reid.archive.archive_tables import TRACKS
from edge_reid.archive.archived_track import ArchivedTrack, VideoTracks
from edge_reid.core.types import Vector
from edge_reid.wire.events import rfc3339

TRACK_COLUMNS = (
    *("video", "camera", "track_id", "first_seen", "last_seen", "captured_at"),
    *("x1", "y1", "x2", "y2", "frame_width", "frame_height", "crops"),
)
_COPY = f"COPY {TRACKS} (sha256, number, {', '.join(TRACK_COLUMNS)}, embedding) FROM STDIN"


def copy_tracks(cursor: psycopg.Cursor[Any], video: VideoTracks) -> None:
    """Write all tracks of a video, in the transaction that is open.

    Raises:
        psycopg.Error: the database says no.
    """
    rows = zip(video.tracks, video.vectors, strict=True)
    with cursor.copy(_COPY.encode()) as copy:
        for number, (track, vector) in enumerate(rows):
            copy.write_row((video.sha256, number, *_row(track), vector_text(vector)))


def vector_text(vector: Vector) -> str:
    """As pgvector reads it: the same float32 again."""
    return f"[{','.join(map(repr, vector.tolist()))}]"


def track_of_row(row: Sequence[Any]) -> ArchivedTrack:
    """The track that a row of `TRACK_COLUMNS` holds."""
    video, camera, track_id, *times = row[:6]
    x1, y1, x2, y2, width, height, crops = row[6:]
    first_seen, last_seen, captured_at = map(_on_the_wire, times)
    return ArchivedTrack(
        video,
        camera,
        track_id,
        first_seen,
        last_seen,
        captured_at,
        (x1, y1, x2, y2),
        (width, height),
        crops,
    )


def _row(track: ArchivedTrack) -> tuple[object, ...]:
    times = track.first_seen, track.last_seen, track.captured_at
    ids = track.video, track.camera, track.track_id
    return (*ids, *times, *track.box, *track.frame_size, track.crops)


def _on_the_wire(moment: datetime) -> str:
    return rfc3339(moment.timestamp())
