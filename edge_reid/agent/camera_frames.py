"""The frames of one camera in the time of now, and how long ago the last one came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from edge_reid.capture.frame_source import FrameSource
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.types import Frame


class CameraFrames:
    """A source whose times take a step only where nobody is followed over it.

    Args:
        source: opened; its live frames have their times from `clock`.
        clock: is set right when the clock of the device was set.
        stall_timeout_s: without a frame for so long, nobody is in view any more.
    """

    def __init__(self, source: FrameSource, clock: SteadyClock, *, stall_timeout_s: float) -> None:
        self._source = source
        self._clock = clock
        self._stall_timeout_s = stall_timeout_s
        self._clock_was_set = False
        self._last_s: float | None = None  # monotonic; None: nobody is in view
        self._size_px: tuple[int, int] | None = None
        self._span_utc_s: tuple[float, float] | None = None

    @property
    def is_live(self) -> bool:
        return self._source.is_live

    @property
    def expected(self) -> int | None:
        """How many a file promises; None for ever, or when it does not say."""
        return self._source.frames_expected

    @property
    def dropped(self) -> int:
        """Frames that never came here: newer ones did, or they were damaged."""
        return self._source.dropped

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong with the camera now."""
        return self._source.fault

    @property
    def last_utc_s(self) -> float | None:
        """When the last frame was taken; None before the first."""
        return self._span_utc_s[1] if self._span_utc_s else None

    @property
    def video_s(self) -> float:
        """From the first frame to the end of the last."""
        if self._span_utc_s is None:
            return 0.0
        first, last = self._span_utc_s
        return last - first + 1 / self._source.fps

    def each(self, idle: Callable[[], None]) -> Iterator[Frame]:
        """Every frame, as it comes; `idle` is called while none does."""
        return self._source.frames(idle)

    def is_break(self, frame: Frame) -> bool:
        """Whether no track goes on over this frame: the clock was set, or the picture has another
        size.
        """
        self._clock_was_set = self._source.is_live and self._clock.was_set()
        is_other_size = self._size_px not in {None, frame.size_px}
        self._last_s, self._size_px = time.monotonic(), frame.size_px
        return self._clock_was_set or is_other_size

    def in_the_time_of_now(self, frame: Frame) -> Frame:
        """The frame that `is_break` was asked about, by the clock as it is set now; it counts as
        the last.
        """
        if self._clock_was_set:
            moved_s = self._clock.adopt()
            frame = replace(frame, captured_utc_s=frame.captured_utc_s + moved_s)
            if self._span_utc_s:
                first_utc_s, last_utc_s = self._span_utc_s
                self._span_utc_s = first_utc_s + moved_s, last_utc_s + moved_s
        first_utc_s = self._span_utc_s[0] if self._span_utc_s else frame.captured_utc_s
        self._span_utc_s = first_utc_s, frame.captured_utc_s
        return frame

    def take_loss(self) -> bool:
        """Whether the camera was away so long that nobody is in view any more; once each time."""
        is_lost = self._last_s and time.monotonic() - self._last_s > self._stall_timeout_s
        if is_lost:
            self._last_s = None
        return bool(is_lost)
