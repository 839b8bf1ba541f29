"""Frames from a video file, every one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from edge_reid.capture.recorded_source import RecordedSource
from edge_reid.core.errors import VideoError
from edge_reid.core.opencv import frame_rate, to_rgb
from edge_reid.core.redact import redact
from edge_reid.core.types import Frame

_COMPLETE_SHARE = 0.98
"""Of what a container promises: with so much decoded, give or take a frame, a file is whole."""
_COUNTING_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi"})
"""Containers that count their frames; of the others OpenCV guesses from length and frame rate."""
_MAX_FRAMES = 1e9
_LISTS = b"#EXTM3U", b"ffconcat", b"v=0"
"""What HLS, FFmpeg's own lists and SDP begin with, which name what is to be played."""
_LIST_SUFFIXES = frozenset({".m3u8", ".m3u", ".ffconcat", ".sdp"})
"""A file that is called so is meant so, such as what a recorder of HLS writes."""
_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 256
_PALETTE = cv2.VideoWriter.fourcc(*"PAL\x08")
"""Pixels of the pictures that FFmpeg draws of texts, and of any bytes that it takes for one by the
name of their file. No camera or recorder writes them."""


class FileSource(RecordedSource):
    """Every frame of a video file, in order, at `start_utc_s` plus the time its container gives.

    Iterating raises VideoError after the last frame that can be decoded when the file promises
    more: what came before is good.
    """

    def __init__(self, path: Path, start_utc_s: float = 0.0) -> None:
        self._path = path
        self._start_utc_s = start_utc_s
        self._capture = _open(path)
        self.fps = frame_rate(self._capture)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frames_expected = int(count) if 0 < count < _MAX_FRAMES else None
        self._first = self._read()
        if self._first is None:
            self.close()
            raise VideoError(path, "no frame can be decoded; give a complete video file")
        height, width = self._first[0].shape[:2]
        self.size_px = (int(width), int(height))

    def close(self) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        read, self._first = self._first, None
        index, video_s, offset_s = 0, 0.0, 0.0
        while read is not None:
            picture, clock_s = read
            if index == 0:
                offset_s = clock_s
            elif clock_s - offset_s > video_s:
                video_s = clock_s - offset_s
            else:  # no clock in this container, or it stands still
                video_s += 1 / self.fps
            yield Frame(to_rgb(picture), index, self._start_utc_s + video_s)
            index += 1
            read = self._read()
        self._check_complete(index, video_s)

    def _read(self) -> tuple[Any, float] | None:
        """The next picture and its time in the container, in seconds to the microsecond."""
        is_read, picture = self._capture.read()
        if not is_read:
            return None
        clock_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return picture, round(clock_s, 6) if math.isfinite(clock_s) and clock_s >= 0 else 0.0

    def _check_complete(self, frames: int, last_s: float) -> None:
        expected = self.frames_expected
        if expected is None:
            return
        got: float = frames
        if self._path.suffix.lower() not in _COUNTING_SUFFIXES:
            got = max(got, last_s * self.fps + 1)
        if got + 1 < expected * _COMPLETE_SHARE:
            raise VideoError(
                self._path,
                f"broke off after frame {frames - 1}, expected {expected} frames; the {frames} "
                "before were processed; copy the file again for the rest",
            )


def _is_disguised_list(path: Path) -> bool:
    """Whoever sends such a file as a video would have other files here shown in its place."""
    if path.suffix.lower() in _LIST_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise VideoError(
            path, f"cannot be read: {error.strerror}; check its owner and mode"
        ) from error
    return head.removeprefix(_BOM).lstrip().startswith(_LISTS)


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise VideoError(
            redact(str(path)),  # it may have been meant as the address of a camera
            "no such file; give a video file, a camera index or an rtsp:// URL",
        )
    if path.stat().st_size == 0:
        raise VideoError(path, "expected a video, the file is empty; copy it again")
    if _is_disguised_list(path):
        raise VideoError(path, "expected a video, this is a list of others; give the video itself")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened() or capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT) == _PALETTE:
        raise VideoError(
            path, "expected a video, this is none or it is cut off; give a complete video file"
        )
    return capture
