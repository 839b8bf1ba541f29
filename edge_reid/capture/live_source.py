"""Frames from a camera or a stream: the newest wins, and one that hangs is opened again.

A thread of the source supervises the reader: it keeps the newest picture, says that there is one,
and opens the camera again when none comes. Whoever takes frames never waits for a camera.
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
"""Longest wait for a frame before whoever iterates hears that there is none."""
_KEY_PICTURE_WAIT_S = 90.0
"""A stream that flows may take so long to its first key picture: "smart" codecs send few."""
_MOST_STILL_S = 600.0
"""A picture that never changes is asked after ever more seldom: it may be a still scene."""


class LiveSource:
    """A camera index, a device path, or the URL of a stream.

    Frames carry the time at which they were taken, as far as it can be known; `Frame.index` counts
    every frame read, so a gap in it is a drop.

    Args:
        settings: what to open, and how.
        is_patient: a source that gives no picture at first is waited for, as later on. Until one
            has come, `size_px` is (0, 0).
        clock: gives frames their time.
        on_frame: called in the supervising thread whenever a newer frame can be taken; it must
            return soon.

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
        on_frame: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._stall_timeout_s = settings.stall_timeout_s
        self._clock = clock or SteadyClock()
        self._on_frame = on_frame
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._newest: Shot | None = None
        self._dropped_before = 0
        self.reopened = 0
        self.damaged = 0
        self.fps, self.size_px = DEFAULT_FPS, (0, 0)
        self.lag_s = 0.0
        self._still = StillPicture()
        self._max_still_s = self._stall_timeout_s
        self._reader = Reader(settings, self._still, max_still_s=self._max_still_s)
        if not is_patient:
            self._await_first()
        self._supervisor = threading.Thread(target=self._supervise, name="capture", daemon=True)
        self._supervisor.start()

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
        with self._changed:
            self._changed.notify_all()
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

    def newest(self) -> Frame | None:
        """The newest frame that was not taken yet; None when none has come since. Never waits."""
        with self._changed:
            shot, self._newest = self._newest, None
        if shot is None:
            return None
        return Frame(to_rgb(shot.picture), shot.index, self._clock.at(shot.captured_s))

    def __iter__(self) -> Iterator[Frame]:
        return self.frames(lambda: None)

    def frames(self, idle: Callable[[], None]) -> Iterator[Frame]:
        """Frames until `close`; while none comes, `idle` is called about once a second."""
        while not self._closed.is_set():
            frame = self.newest()
            if frame:
                yield frame
            elif not self._await_frame():
                idle()

    def _await_frame(self) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: self._newest is not None or self._closed.is_set(), _TURN_S
            )

    def _await_first(self) -> None:
        """Raises SourceError: it has not come in time."""
        shot = self._take()
        if shot is None:
            fault = self._reader.fault
            self.close()
            raise SourceError(str(fault))
        self._keep(shot)

    def _supervise(self) -> None:
        while not self._closed.is_set():
            shot = self._take()
            if shot:
                self._keep(shot)
                self._on_frame()
            else:
                self._reopen()

    def _keep(self, shot: Shot) -> None:
        self.fps, self.size_px = self._reader.fps, shot.size_px
        self.lag_s = time.monotonic() - shot.captured_s
        with self._changed:
            self._dropped_before += self._newest is not None
            self._newest = shot
            self._changed.notify_all()

    def _take(self) -> Shot | None:
        """The reader's next picture; None when it has come to an end, or gives none for so long
        that it hangs.
        """
        started_s = time.monotonic()
        while (left_s := started_s + self._patience_s() - time.monotonic()) > 0:
            shot = self._reader.take(min(_TURN_S, left_s))
            if shot or self._reader.is_over:
                return shot
        return None

    def _patience_s(self) -> float:
        if self._reader.awaits_key_picture:
            return max(_KEY_PICTURE_WAIT_S, self._stall_timeout_s)
        return max(self._reader.max_still_s, self._stall_timeout_s)

    def _reopen(self) -> None:
        self._reader.stop()
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
