"""A folder of the tracks of recorded videos: an embedding each, with time, camera and box.

For every video, named by its content, a file of vectors and one of what they are of. The second is
written last, so a video is there whole or is done again. No picture is kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from edge_reid.core.errors import ModelMismatchError, StoreError
from edge_reid.core.files import write_whole
from edge_reid.core.types import Vector, Vectors

HEAD = "archive.json"
FORMAT = "edge-reid.archive/1"
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


@dataclass(frozen=True, slots=True, eq=False)
class VideoTracks:
    """All tracks of one video."""

    sha256: str
    """Of the video, hex."""
    tracks: tuple[ArchivedTrack, ...]
    vectors: Vectors
    """(N, D) float32, a row a track."""


@dataclass(frozen=True, slots=True)
class ArchiveModels:
    """What an archive was made with: embeddings of others are not comparable."""

    model_id: str
    dimension: int
    detector_sha256: str


class TrackArchive:
    """Written by any number of processes, which share nothing but the folder.

    Raises:
        StoreError: the folder is no archive, or cannot be used.
    """

    def __init__(self, folder: Path, models: ArchiveModels) -> None:
        self.folder = folder
        self.models = models

    @classmethod
    def create(cls, folder: Path, models: ArchiveModels) -> TrackArchive:
        """A new one, or the one that is there, if it was made with the same models.

        Raises:
            ModelMismatchError: it was made with other models.
            StoreError: the folder holds something else, or cannot be written.
        """
        if (folder / HEAD).exists():
            archive = cls.open(folder)
            if archive.models != models:
                raise ModelMismatchError(
                    f"{folder}: expected an archive of model {models.model_id}, got one of "
                    f"{archive.models.model_id} or of another detector; give another --out"
                )
            return archive
        try:
            if folder.exists() and any(folder.iterdir()):
                raise StoreError(
                    f"{folder}: expected an archive or an empty folder; give another --out"
                )
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(folder / HEAD, _json({"format": FORMAT, **asdict(models)}))
        except OSError as error:
            raise _unwritable(folder, error) from error
        return cls(folder, models)

    @classmethod
    def open(cls, folder: Path) -> TrackArchive:
        """The one that is there.

        Raises:
            StoreError: there is none, or it is of a newer edge-reid.
        """
        try:
            head = json.loads((folder / HEAD).read_bytes())
            if head.pop("format") != FORMAT:
                raise StoreError(f"{folder}: expected {FORMAT}, made by a newer edge-reid")
            return cls(folder, ArchiveModels(**head))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{folder}: expected an archive of `edge-reid index`, got {error}"
            ) from error

    def has(self, sha256: str) -> bool:
        """Whether this video is in it, under whatever name."""
        return self._list_file(sha256).exists()

    def add(self, video: VideoTracks) -> None:
        """Put the tracks of a video into it, in the place of what was there of it.

        Raises:
            StoreError: the folder cannot be written.
        """
        body = io.BytesIO()
        np.save(body, np.ascontiguousarray(video.vectors, np.float32), allow_pickle=False)
        lines = b"".join(_json(asdict(track)) for track in video.tracks)
        try:
            write_whole(self._vector_file(video.sha256), body.getvalue(), mode=0o600)
            write_whole(self._list_file(video.sha256), lines, mode=0o600)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def read(self, camera: str | None = None) -> tuple[tuple[ArchivedTrack, ...], Vectors]:
        """N tracks, and (N, D) float32, of all cameras or of one.

        Raises:
            StoreError: a file of it is damaged.
        """
        tracks: list[ArchivedTrack] = []
        vectors = [np.empty((0, self.models.dimension), np.float32)]
        for path in sorted(self.folder.glob("*.jsonl")):
            found, rows = self._read_video(path)
            kept = [camera in {None, track.camera} for track in found]
            tracks += compress(found, kept)
            vectors.append(rows[np.array(kept, bool)])
        return tuple(tracks), np.concatenate(vectors)

    def _read_video(self, path: Path) -> tuple[list[ArchivedTrack], Vectors]:
        try:
            found = [_track(json.loads(line)) for line in path.read_bytes().splitlines()]
            rows = np.load(self._vector_file(path.stem), allow_pickle=False)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _damaged(path, str(error)) from error
        if rows.shape != (len(found), self.models.dimension) or rows.dtype != np.float32:
            raise _damaged(path, f"{len(found)} tracks and vectors of shape {rows.shape}")
        return found, rows

    def _vector_file(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.npy"

    def _list_file(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.jsonl"


def stacked(vectors: Sequence[Vector], dimension: int) -> Vectors:
    """(N, D) of N vectors, also of none."""
    return np.array(vectors, np.float32).reshape(len(vectors), dimension)


def _track(fields: dict[str, Any]) -> ArchivedTrack:
    x1, y1, x2, y2 = fields["box"]
    width, height = fields["frame_size"]
    return ArchivedTrack(**{**fields, "box": (x1, y1, x2, y2), "frame_size": (width, height)})


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{folder}: expected a folder to write into, got: {error.strerror}; give another --out"
    )


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: is damaged: {what}; remove it, and index its video again")
