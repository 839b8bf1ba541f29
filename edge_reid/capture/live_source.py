"""Frames from a camera or a stream: the newest wins, and one that hangs is opened again.

OpenCV's calls block for as long as a camera likes, so they run in a thread of their own
(`reader.py`). Whoever iterates waits for at most `stall_timeout_s` on it; then the thread is left
to itself (it frees its capture as soon as OpenCV lets it go) and another one is started.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from edge_reid.capture.camera_reader import Reader, Shot
from edge_reid.capture.stream_judge import StillPicture
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.config import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.opencv import DEFAULT_FPS, to_rgb
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.types import Frame

_REOPEN_PAUSE_S = 1.0
"""Between two attempts to open a camera that is gone."""
_CLOSE_WAIT_S = 1.0
"""Closing waits so long for the reader, so that a healthy camera is free afterwards."""
_TURN_S = 1.0
"""Longest wait for a frame before whoever iterates is told that there is none."""
_KEY_PICTURE_WAIT_S = 90.0
"""A stream that flows may take so long to its first key picture: "smart" codecs send few."""
_MOST_STILL_S = 600.0
"""A picture that never changes is asked after ever more seldom: it may be a still scene."""


class LiveSource:
    """A camera index, a device path, or the URL of a stream.

    Frames carry the time at which they were taken, as far as it can be known; `Frame.index` counts
    every frame read, so a gap in it is a drop. Iteration ends when `close` is called, from any
    thread.

    Args:
        settings: what to open, and how.
        is_patient: a source that gives no picture at first is waited for, as later on. Until one
            has come, `size_px` is (0, 0).
        clock: gives frames their time.

    Raises:
        SourceError: no picture within `stall_timeout_s` of opening, and we are not patient; of a
            stream that flows, within 90 s. Later trouble is not an error: the source is opened
            again until it answers (`reopened` counts).
    """

    is_live = True
    frames_expected = None

    def __init__(
        self,
        settings: SourceSettings,
        *,
        is_patient: bool = False,
        clock: SteadyClock | None = None,
    ) -> None:
        self._settings = settings
        self._stall_timeout_s = settings.stall_timeout_s
        self._clock = clock or SteadyClock()
        self._closed = threading.Event()
        self._dropped_before = 0
        self.reopened = 0
        self._still = StillPicture()
        self._max_still_s = self._stall_timeout_s
        self._reader = Reader(settings, self._still, max_still_s=self._max_still_s)
        self._first = None if is_patient else self._take(lambda: None)
        if self._first is None and not is_patient:
            fault = self._reader.fault
            self.close()
            raise SourceError(str(fault))
        self.fps = self._reader.fps or DEFAULT_FPS
        self.size_px = self._first.size_px if self._first else (0, 0)

    @property
    def dropped(self) -> int:
        return self._dropped_before + self._reader.dropped

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong now; None when pictures come as they should."""
        return self._reader.fault

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
        return self.frames(lambda: None)

    def frames(self, idle: Callable[[], None]) -> Iterator[Frame]:
        """Frames until `close`; while none comes, `idle` is called about once a second."""
        shot = self._first or self._take(idle)
        self._first = None
        while not self._closed.is_set():
            if shot is None:
                self._reopen(idle)
            else:
                self.fps, self.size_px = self._reader.fps, shot.size_px
                yield Frame(to_rgb(shot.picture), shot.index, self._clock.at(shot.captured_s))
            shot = self._take(idle)

    def _take(self, idle: Callable[[], None]) -> Shot | None:
        """As the reader's, but whoever iterates hears now and then that nothing has come."""
        started_s = time.monotonic()
        while (left_s := started_s + self._patience_s() - time.monotonic()) > 0:
            shot = self._reader.take(min(_TURN_S, left_s))
            if shot or self._reader.is_over:
                return shot
            idle()
        return None

    def _patience_s(self) -> float:
        if self._reader.awaits_key_picture:
            return max(_KEY_PICTURE_WAIT_S, self._stall_timeout_s)
        return max(self._reader.max_still_s, self._stall_timeout_s)

    def _reopen(self, idle: Callable[[], None]) -> None:
        self._reader.stop()
        idle()
        if self._closed.wait(_REOPEN_PAUSE_S):
            return
        before = self._reader
        self._dropped_before += before.dropped
        if before.is_frozen:
            self._max_still_s = min(self._max_still_s * 2, _MOST_STILL_S)
        elif before.frames_read > before.first_index:
            self._max_still_s = self._stall_timeout_s
        self._reader = Reader(
            self._settings,
            self._still,
            max_still_s=self._max_still_s,
            first_index=before.frames_read,
            earlier=before.fault,
        )
        self.reopened += 1
        if self._closed.is_set():  # meanwhile, by another thread
            self._reader.stop()
