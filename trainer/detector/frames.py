"""Frames of cameras that a detector is to be better at, out of videos and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from edge_reid.core.errors import TrainingError
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image
from edge_reid.vision.photo import PHOTO_SUFFIXES, read_photo


def read_frames(sources: Sequence[Path], most: int) -> tuple[Image, ...]:
    """At most so many frames of each source, at equal distances, RGB uint8 (H, W, 3).

    Args:
        sources: videos, pictures, or folders with pictures in them.
        most: of each of them.

    Raises:
        TrainingError: a source is no video and no picture, or a folder has none.
        PhotoError: a picture cannot be read.
    """
    return tuple(frame for source in sources for frame in _frames_of(source, most))


def _frames_of(source: Path, most: int) -> Iterator[Image]:
    if not source.is_dir() and source.suffix.lower() not in PHOTO_SUFFIXES:
        yield from _of_video(source, most)
        return
    pictures = [source]
    if source.is_dir():
        pictures = sorted(p for p in source.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    if not pictures:
        raise TrainingError(f"{source}: expected pictures in it, got none; give another folder")
    for picture in pictures[:: -(-len(pictures) // most)]:
        yield read_photo(picture).image


def _of_video(path: Path, most: int) -> Iterator[Image]:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        step = max(1, -(-int(video.get(cv2.CAP_PROP_FRAME_COUNT)) // most))
        number = 0
        while number < step * most and video.grab():
            if number % step == 0:
                decoded, picture = video.retrieve()
                if decoded:
                    yield to_rgb(picture)
            number += 1
    finally:
        video.release()
    if number == 0:
        raise TrainingError(f"{path}: expected a video, a picture or a folder; check the path")
