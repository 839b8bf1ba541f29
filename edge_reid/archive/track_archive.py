"""A folder of the tracks of recorded videos: an embedding each, with time, camera and box.

For every video, named by its content, a file of vectors and one of what they are of. The second is
written last, so a video is there whole or is done again. No picture is kept.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from io import RawIOBase
from pathlib import Path

import numpy as np

from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.archived_track import ArchivedTrack, VideoTracks, line_of, track_of
from edge_reid.core.errors import StoreError
from edge_reid.core.files import remove_abandoned_drafts, write_whole
from edge_reid.core.types import Vector, Vectors

HEAD = "archive.json"
FORMAT = "edge-reid.archive/1"
LIST = ".jsonl"
_HEAD_BYTES = 128
"""Of a `.npy` file of two dimensions, before its numbers: NumPy fills it up with blanks."""


@dataclass(frozen=True, slots=True)
class ArchivedVideo:
    """A video that is whole in an archive, as the folder shows it."""

    sha256: str
    tracks: int
    changed_ns: int
    """When its vectors were written, Unix time: since then they are the same."""


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
            archive.models.check(models, str(folder))
            try:
                remove_abandoned_drafts(folder)
            except OSError as error:
                raise _unwritable(folder, error) from error
            return archive
        try:
            if folder.exists() and any(folder.iterdir()):
                raise StoreError(
                    f"{folder}: expected an archive or an empty folder; give another --out"
                )
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            head = {"format": FORMAT, **asdict(models)}
            write_whole(folder / HEAD, json.dumps(head, separators=(",", ":")).encode() + b"\n")
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
        except FileNotFoundError as error:
            raise StoreError(
                f"{folder}: expected an archive, got none; make one: edge-reid index VIDEO… --out "
                f"{folder}"
            ) from error
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
        lines = b"".join(line_of(track) for track in video.tracks)
        try:
            write_whole(self._vector_file(video.sha256), body.getvalue(), mode=0o600)
            write_whole(self._list_file(video.sha256), lines, mode=0o600)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def videos(self) -> tuple[ArchivedVideo, ...]:
        """Those that are whole in it, by SHA-256. None is read: a million cost a second or two.

        Raises:
            StoreError: the folder cannot be listed, or a file of vectors is damaged.
        """
        try:
            with os.scandir(self.folder) as entries:
                files = {entry.name: entry for entry in entries}
            lists = sorted(name for name in files if name.endswith(LIST))
            return tuple(self._listed(files, name.removesuffix(LIST)) for name in lists)
        except OSError as error:
            raise StoreError(
                f"{self.folder}: expected an archive that can be read, got: {error.strerror}; "
                "check its owner and mode"
            ) from error

    def tracks(self, video: ArchivedVideo) -> tuple[ArchivedTrack, ...]:
        """All of a video.

        Raises:
            StoreError: the list is damaged.
        """
        lines = self._lines(video)
        return tuple(self._parsed(video, line) for line in lines)

    def track(self, video: ArchivedVideo, row: int) -> ArchivedTrack:
        """One of a video, without parsing the others.

        Raises:
            StoreError: the list is damaged.
        """
        return self._parsed(video, self._lines(video)[row])

    def camera(self, video: ArchivedVideo) -> str | None:
        """Whose a video is; None if there is no track in it.

        Raises:
            StoreError: the list is damaged.
        """
        return self.track(video, 0).camera if video.tracks else None

    def vectors(self, video: ArchivedVideo) -> Vectors:
        """(N, D) float32, a row a track.

        Raises:
            StoreError: the file is damaged.
        """
        path = self._vector_file(video.sha256)
        try:
            with path.open("rb", buffering=0) as file:
                self._check_head(file, video)
                numbers = np.fromfile(file, np.float32)
            return numbers.reshape(video.tracks, self.models.dimension)
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error

    def vectors_at(self, video: ArchivedVideo, rows: Sequence[int]) -> Vectors:
        """(n, D) float32 of some tracks, without reading the others.

        Raises:
            StoreError: the file is damaged.
        """
        path, length = self._vector_file(video.sha256), 4 * self.models.dimension
        try:
            with path.open("rb", buffering=0) as file:
                self._check_head(file, video)
                found = [os.pread(file.fileno(), length, _HEAD_BYTES + length * n) for n in rows]
            return np.frombuffer(b"".join(found), np.float32).reshape(len(rows), -1)
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error

    def _listed(self, files: Mapping[str, os.DirEntry[str]], sha256: str) -> ArchivedVideo:
        path = self._vector_file(sha256)
        try:  # a listing may have the later of two files and not the earlier, while both are made
            found = files[path.name].stat() if path.name in files else path.stat()
        except FileNotFoundError as error:
            raise _damaged(path, "the file is not there") from error
        tracks, rest = divmod(found.st_size - _HEAD_BYTES, 4 * self.models.dimension)
        if rest or tracks < 0:
            raise _damaged(path, f"it has {found.st_size} bytes")
        return ArchivedVideo(sha256, tracks, found.st_mtime_ns)

    def _lines(self, video: ArchivedVideo) -> list[bytes]:
        path = self._list_file(video.sha256)
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise _damaged(path, str(error)) from error
        if len(lines) != video.tracks:
            raise _damaged(path, f"{len(lines)} tracks and {video.tracks} vectors")
        return lines

    def _parsed(self, video: ArchivedVideo, line: bytes) -> ArchivedTrack:
        try:
            return track_of(line)
        except (ValueError, TypeError, KeyError) as error:
            raise _damaged(self._list_file(video.sha256), str(error)) from error

    def _check_head(self, file: RawIOBase, video: ArchivedVideo) -> None:
        if file.read(_HEAD_BYTES) != _npy_head(video.tracks, self.models.dimension):
            raise ValueError(
                f"expected vectors of shape {(video.tracks, self.models.dimension)}, float32"
            )

    def _vector_file(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.npy"

    def _list_file(self, sha256: str) -> Path:
        return self.folder / f"{sha256}{LIST}"


def stacked(vectors: Sequence[Vector], dimension: int) -> Vectors:
    """(N, D) of N vectors, also of none."""
    return np.array(vectors, np.float32).reshape(len(vectors), dimension)


@lru_cache(maxsize=4096)
def _npy_head(tracks: int, dimension: int) -> bytes:
    """What `np.save` writes before the numbers of (tracks, dimension) float32."""
    head = io.BytesIO()
    array = {"descr": "<f4", "fortran_order": False, "shape": (tracks, dimension)}
    np.lib.format.write_array_header_1_0(head, array)  # type: ignore[no-untyped-call]
    return head.getvalue()


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{folder}: expected a folder to write into, got: {error.strerror}; give another --out"
    )


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: is damaged: {what}; remove it, and index its video again")
