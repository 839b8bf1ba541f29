"""The frames of one camera in the time of now, and how long ago the last one came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, cast

from edge_reid.agent.look_schedule import FrameCount
from edge_reid.capture.frame_source import FrameSource
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.stream_states import StreamStates
from edge_reid.core.types import Frame

_QUIET_S = 1.0
"""Without a frame for so long a camera is not what it should be."""


class _Live(Protocol):
    def newest(self) -> Frame | None: ...


class _TwoStreams(Protocol):
    @property
    def streams(self) -> StreamStates: ...
    def attend(self) -> None: ...


class CameraFrames:
    """A source whose times take a step only where nobody is followed over it.

    Args:
        source: opened; its live frames have their times from `clock`.
        clock: is set right when the clock of the device was set.
        stall_timeout_s: without a frame for so long, nobody is in view any more.
        count: of a live camera, the frames that came; None: a recording, of which all are taken.
        two_streams: the source, if it has a large stream beside the small one that is looked at.
        is_wanted: whether the camera is to be watched now.
    """

    def __init__(
        self,
        source: FrameSource,
        clock: SteadyClock,
        *,
        stall_timeout_s: float,
        count: Callable[[], FrameCount] | None = None,
        two_streams: _TwoStreams | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._source = source
        self._clock = clock
        self._stall_timeout_s = stall_timeout_s
        self._count = count
        self._two_streams = two_streams
        self._is_wanted = is_wanted
        self._taken = 0
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
    def processed(self) -> int:
        """Frames that were looked at, or came between two looks."""
        if self._count is None:
            return self._taken
        count = self._count()
        return count.came - count.missed

    @property
    def dropped(self) -> int:
        """Frames that were to be looked at when newer ones came, and damaged ones."""
        return self._source.damaged + (self._count().missed if self._count else 0)

    @property
    def is_quiet(self) -> bool:
        """Whether none has come for a while; never of a recording."""
        silent_s = self._count().silent_s if self._count else 0.0
        return silent_s is None or silent_s > _QUIET_S

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong with the camera now."""
        return self._source.fault

    @property
    def streams(self) -> StreamStates | None:
        """How the two streams of the camera do; None unless it has two."""
        return self._two_streams.streams if self._two_streams else None

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

    def each(self) -> Iterator[Frame]:
        """Every frame of a recording."""
        return iter(self._source)

    def newest(self) -> Frame | None:
        """The newest frame of a live camera that was not taken yet; None: there is none. Never
        waits.
        """
        return cast("_Live", self._source).newest()

    def attend(self) -> None:
        """Say that somebody is in view: a large stream is wanted, if there is one."""
        if self._two_streams:
            self._two_streams.attend()

    def age_s(self, frame: Frame) -> float:
        """How long ago a frame was captured that is in the time of now."""
        return self._clock.now() - frame.captured_utc_s

    def is_break(self, frame: Frame) -> bool:
        """Whether no track goes on over this frame: the clock was set, or the picture has another
        size.
        """
        self._taken += 1
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
        """Whether the camera was away so long that nobody is in view any more, or is not to be
        watched now; once each time.
        """
        if self._last_s is None:
            return False
        is_lost = time.monotonic() - self._last_s > self._stall_timeout_s or not self._is_wanted()
        if is_lost:
            self._last_s = None
        return is_lost
