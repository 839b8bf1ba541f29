"""Pictures that are kept on this device: the newest, in one folder, for its owner's eyes only."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2

from edge_reid.core.errors import PhotoError
from edge_reid.core.files import write_whole
from edge_reid.core.types import Frame

JPEG_QUALITY = 90

_OURS = re.compile(r"\.?[a-z0-9_-]{1,64}-\d{8}T\d{6}\.\d{3}Z\.jpg(\.(\d+\.)?part)?")
"""A part that is still there counts as a picture: a power cut left it."""


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture on disk."""

    path: Path
    size_bytes: int
    sha256: str
    """Hex, of the file's bytes."""


class PictureFolder:
    """A folder of JPEGs. Beyond its caps the oldest go; files of others are left alone.

    Args:
        folder: made when the first picture comes.
        max_files, max_bytes: of all pictures in it, whichever agent of this device they are of.
    """

    def __init__(self, folder: Path, *, max_files: int, max_bytes: int) -> None:
        self._folder = folder
        self._max_files = max_files
        self._max_bytes = max_bytes

    def keep(self, frame: Frame, camera: str) -> KeptPicture:
        """Write a frame as `<camera>-20260301T120000.250Z.jpg`, whole or not at all.

        Raises:
            PhotoError: it does not fit, or the folder cannot be written.
        """
        body = _jpeg(frame)
        if len(body) > self._max_bytes:
            raise PhotoError(
                f"snapshot: expected at most {self._max_bytes} bytes, got {len(body)}; "
                "raise commands.snapshot_max_bytes"
            )
        path = self._folder / f"{camera}-{_stamp(frame.captured_utc_s)}.jpg"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(path, body, mode=0o600)
            self._make_room(path)
        except OSError as error:
            raise PhotoError(
                f"snapshot {path}: cannot be written: {error.strerror}; "
                "make room, or give another commands.snapshot_dir"
            ) from error
        return KeptPicture(path.resolve(), len(body), hashlib.sha256(body).hexdigest())

    def _make_room(self, newest: Path) -> None:
        older = []
        for entry in os.scandir(self._folder):
            if _OURS.fullmatch(entry.name) and entry.name != newest.name:
                with suppress(FileNotFoundError):  # another agent made room at the same time
                    older.append((entry.stat().st_mtime_ns, entry.stat().st_size, Path(entry)))
        files, size_bytes = 1, newest.stat().st_size
        for _, its_bytes, path in sorted(older, reverse=True):
            files, size_bytes = files + 1, size_bytes + its_bytes
            if files > self._max_files or size_bytes > self._max_bytes:
                path.unlink(missing_ok=True)


def _jpeg(frame: Frame) -> bytes:
    picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _stamp(utc_s: float) -> str:
    moment = datetime.fromtimestamp(utc_s, timezone.utc)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z"
