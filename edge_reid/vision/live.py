"""Frames from a camera or a stream: the newest wins, and one that hangs is opened again.

OpenCV's calls block for as long as a camera likes, so they run in a thread of their own. Whoever
iterates waits for at most `stall_timeout_s` on it; then the thread is left to itself (it frees its
capture as soon as OpenCV lets it go) and another one is started.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import cv2

from edge_reid.core.errors import SourceError
from edge_reid.core.stream_url import place
from edge_reid.core.types import Frame
from edge_reid.vision.opencv import DEFAULT_FPS, frame_rate, to_rgb

_REOPEN_PAUSE_S = 1.0
"""Between two attempts to open a camera that is gone."""
_CLOSE_WAIT_S = 1.0
"""Closing waits so long for the reader, so that a healthy camera is free afterwards."""
_TURN_S = 1.0
"""Longest wait for a frame before whoever iterates is told that there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """One picture as it came."""

    picture: Any
    """BGR uint8 (H, W, 3)."""
    index: int
    captured_utc_s: float


class LiveSource:
    """A camera index, a device path, or the URL of a stream.

    Frames carry the wall clock at which they were read; `Frame.index` counts every frame read, so
    a gap in it is a drop. Iteration ends when `close` is called, from any thread.

    Args:
        uri: what to open.
        stall_timeout_s: without a frame for so long, it is closed and opened again.
        is_patient: a source that gives no picture at first is waited for, as later on. Until one
            has come, `size_px` is (0, 0).

    Raises:
        SourceError: no picture within `stall_timeout_s` of opening, and we are not patient. Later
            trouble is not an error: the source is opened again until it answers (`reopened`
            counts).
    """

    is_live = True
    frames_expected = None

    def __init__(self, uri: str, *, stall_timeout_s: float, is_patient: bool = False) -> None:
        self.idle: Callable[[], None] = lambda: None
        self._uri = uri
        self._stall_timeout_s = stall_timeout_s
        self._closed = threading.Event()
        self._dropped_before = 0
        self.reopened = 0
        self._reader = _Reader(uri, stall_timeout_s)
        self._first = None if is_patient else self._reader.take(stall_timeout_s)
        if self._first is None and not is_patient:
            self.close()
            raise SourceError(_no_picture(uri))
        self.fps = self._reader.fps or DEFAULT_FPS
        self.size_px = _size_px(self._first) if self._first else (0, 0)

    @property
    def dropped(self) -> int:
        return self._dropped_before + self._reader.dropped

    def close(self) -> None:
        """End the iteration and let the camera go."""
        self._closed.set()
        self._reader.stop()
        self._reader.join(_CLOSE_WAIT_S)

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        shot = self._first or self._take()
        self._first = None
        while not self._closed.is_set():
            if shot is None:
                self._reopen()
            else:
                self.fps, self.size_px = self._reader.fps, _size_px(shot)
                yield Frame(to_rgb(shot.picture), shot.index, shot.captured_utc_s)
            shot = self._take()

    def _take(self) -> _Shot | None:
        """As the reader's, but whoever iterates hears now and then that nothing has come."""
        deadline_s = time.monotonic() + self._stall_timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            shot = self._reader.take(min(_TURN_S, left_s))
            if shot or self._reader.is_over:
                return shot
            self.idle()
        return None

    def _reopen(self) -> None:
        self._reader.stop()
        self.idle()
        if self._closed.wait(_REOPEN_PAUSE_S):
            return
        self._dropped_before += self._reader.dropped
        self._reader = _Reader(self._uri, self._stall_timeout_s, self._reader.frames_read)
        self.reopened += 1
        if self._closed.is_set():  # meanwhile, by another thread
            self._reader.stop()


class _Reader(threading.Thread):
    """Opens the capture and keeps its newest picture, until stopped or until the capture ends."""

    def __init__(self, uri: str, timeout_s: float, frames_read: int = 0) -> None:
        super().__init__(name=f"capture {_name(uri)}", daemon=True)
        self.fps = 0.0
        self.dropped = 0
        self.frames_read = frames_read
        self._uri = uri
        self._timeout_s = timeout_s
        self._newest: _Shot | None = None
        self.is_over = False
        self._changed = threading.Condition()
        self.start()

    def take(self, timeout_s: float) -> _Shot | None:
        """The newest picture not taken yet; None if none comes in time, or the capture ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self.is_over, timeout_s)
            shot, self._newest = self._newest, None
            return shot

    def stop(self) -> None:
        with self._changed:
            self.is_over = True
            self._changed.notify_all()

    def run(self) -> None:
        capture = _open(self._uri, self._timeout_s)
        try:
            self.fps = frame_rate(capture)
            while not self.is_over:
                is_read, picture = capture.read()
                if not is_read:
                    break
                self._put(picture, time.time())
        finally:
            capture.release()
            self.stop()

    def _put(self, picture: Any, captured_utc_s: float) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = _Shot(picture, self.frames_read, captured_utc_s)
            self.frames_read += 1
            self._changed.notify_all()


def _open(uri: str, timeout_s: float) -> cv2.VideoCapture:
    if uri.isdecimal():
        return cv2.VideoCapture(int(uri))
    if "://" not in uri:
        return cv2.VideoCapture(uri)
    timeout_ms = min(int(timeout_s * 1000), 2**31 - 1)  # what OpenCV can hold
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        timeout_ms,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        timeout_ms,
    ]
    return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, limits)


def _size_px(shot: _Shot) -> tuple[int, int]:
    height, width = shot.picture.shape[:2]
    return int(width), int(height)


def _no_picture(uri: str) -> str:
    advice = "that it is plugged in and no other program uses it"
    if "://" in uri:
        advice = "its address and login, and the network"
    return f"{_name(uri)}: expected pictures, none came; check {advice}"


def _name(uri: str) -> str:
    """What to call it where others read: passwords stay out of logs."""
    return f"stream {place(uri)}" if "://" in uri else f"camera {uri}"
