"""Frames from a folder of images, such as what a camera uploads: by name, at a steady rate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2

from edge_reid.capture.recorded_source import RecordedSource
from edge_reid.core.errors import SourceError
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Frame, Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class ImageFolderSource(RecordedSource):
    """Every image of a folder, in the order of their names: `2.jpg` before `10.jpg`.

    Args:
        folder: without its subfolders.
        rate_hz: images a second of their time.
        start_utc_s: of the first one.

    Raises:
        SourceError: it cannot be read, there is no image in it, or the first one is none; while
            iterating, another one is none.
    """

    def __init__(self, folder: Path, rate_hz: float, start_utc_s: float = 0.0) -> None:
        self.fps = rate_hz
        self._start_utc_s = start_utc_s
        self._paths = images_in(folder)
        if not self._paths:
            raise SourceError(
                f"folder {folder}: expected images ({', '.join(sorted(SUFFIXES))}), found none;"
                " name a folder of images, or a video file"
            )
        height, width = _read(self._paths[0]).shape[:2]
        self.size_px = (int(width), int(height))

    @property
    def frames_expected(self) -> int | None:
        return len(self._paths)

    def close(self) -> None:
        """Nothing is held open."""

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            yield Frame(_read(path), index, round(self._start_utc_s + index / self.fps, 6))


def images_in(folder: Path) -> tuple[Path, ...]:
    """Of one folder, in the order of the numbers in their names.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise SourceError(
            f"folder {folder}: cannot be read: {error.strerror}; let the agent's user read it"
        ) from error
    return tuple(sorted(found, key=_by_number))


def _by_number(path: Path) -> tuple[list[str], str]:
    """A key that sorts `frame2` before `frame10`."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [part.zfill(20) if part.isdecimal() else part for part in parts], path.name


def _read(path: Path) -> Image:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SourceError(f"image {path}: expected a picture, this is none; remove or replace it")
    return to_rgb(picture)
