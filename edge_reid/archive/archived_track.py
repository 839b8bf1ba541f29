"""A track of a recorded video as an archive keeps it, and the line of its list."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from edge_reid.core.types import Vectors

BoxRow = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ArchivedTrack:
    """One person over one stretch of a video."""

    video: str
    """File name."""
    camera: str
    track_id: int
    first_seen: str
    """RFC 3339, UTC, as the next two."""
    last_seen: str
    captured_at: str
    """Of the best crop."""
    box: BoxRow
    """Where the person is in that picture, pixels."""
    frame_size: tuple[int, int]
    crops: int
    """That the embedding is made of."""


_COLUMNS = tuple(field.name for field in fields(ArchivedTrack))  # `asdict` takes most of the time
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, eq=False)
class VideoTracks:
    """All tracks of one video, which is of one camera.

    Raises:
        ValueError: they are of several cameras.
    """

    sha256: str
    """Of the video, hex."""
    tracks: tuple[ArchivedTrack, ...]
    vectors: Vectors
    """(N, D) float32, a row a track."""

    def __post_init__(self) -> None:
        cameras = {track.camera for track in self.tracks}
        if len(cameras) > 1:
            raise ValueError(f"expected tracks of one camera, got {sorted(cameras)}")


def line_of(track: ArchivedTrack) -> bytes:
    """JSON, with its end."""
    columns = {name: getattr(track, name) for name in _COLUMNS}
    return _ENCODER.encode(columns).encode() + b"\n"


def track_of(line: bytes) -> ArchivedTrack:
    """What `line_of` was given.

    Raises:
        ValueError, TypeError, KeyError: it is no such line.
    """
    columns: dict[str, Any] = json.loads(line)
    x1, y1, x2, y2 = columns["box"]
    width, height = columns["frame_size"]
    return ArchivedTrack(**{**columns, "box": (x1, y1, x2, y2), "frame_size": (width, height)})
