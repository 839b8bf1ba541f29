"""A camera with two streams: a small one is looked at, and crops are cut from a large one.

The large stream is fetched and decoded only while somebody is there. When one of the two fails, the
other does the work of both: crops come from the small pictures, or the large ones are looked at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from edge_reid.capture.closeup import Closeup, CloseupFinder
from edge_reid.capture.crop_stream import CropStream
from edge_reid.capture.live_source import LiveSource
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.stream_states import StreamStates
from edge_reid.core.types import Frame

_SILENT_S = 3.0
"""Without a small picture for so long the large ones are looked at."""
_PROVEN_S = 3.0
"""Small pictures are looked at again when they have come for so long."""
_GAP_S = 1.0
"""Between two pictures of a stream that flows, at most."""
_TURN_S = 1.0
"""Longest wait for a frame before whoever iterates hears that there is none."""


class TwoStreamSource(ClosedAfterUse):
    """A live source like any other, whose frames are small, with closeups of who is in them.

    Args:
        settings: with `detect_uri`.
        is_patient: streams that give no picture at first are waited for, as later on.
        clock: gives frames their time.
        on_frame: called in another thread whenever a newer frame can be taken.
        is_wanted: whether the camera is to be open now, asked from any thread; while it is not,
            neither stream is.

    Raises:
        SourceError: neither stream gives a picture, and we are not patient.
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
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._on_frame = on_frame
        self._is_wanted = is_wanted
        self._came = threading.Event()
        self._is_over = False
        self._stands_in = False  # the large stream does the work of both
        self._detect_s = self._flows_since_s = time.monotonic()
        self._crop_s = 0.0
        clock = clock or SteadyClock()
        self._detect = self._opened(settings, clock, is_patient=is_patient)
        self._crops = CropStream(
            settings.crop_stream,
            linger_s=settings.crop_linger_s,
            clock=clock,
            is_needed=self._needs_large,
            is_wanted=is_wanted,
            on_frame=self._crop_came,
        )
        self._finder = CloseupFinder(self._crops)

    @property
    def fps(self) -> float:
        return self._looked_at.fps

    @property
    def size_px(self) -> tuple[int, int]:
        return self._looked_at.size_px

    @property
    def dropped(self) -> int:
        """Frames of the small stream that were read and never taken."""
        return self._detect.dropped

    @property
    def damaged(self) -> int:
        """Of either stream."""
        return self._detect.damaged + self._crops.damaged

    @property
    def reopened(self) -> int:
        """Of either stream, as it failed."""
        return self._detect.reopened + self._crops.reopened

    @property
    def lag_s(self) -> float:
        return self._looked_at.lag_s

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong with the stream that is looked at; else `one-stream` if something is with
        the other.
        """
        if of_looked_at := self._looked_at.fault:
            return of_looked_at
        other = self._detect.fault if self._stands_in else self._crop_fault
        if other is None:
            return None
        if self._stands_in:
            line = f"{other.line}; meanwhile people are detected in the pictures of source.uri"
            return CameraFault("one-stream", f"source.detect_uri: {line}")
        line = f"{other.line}; meanwhile crops are cut from the pictures of source.detect_uri"
        return CameraFault("one-stream", f"source.uri: {line}")

    @property
    def streams(self) -> StreamStates:
        """How the two do; any thread may ask."""
        detect, crop = self._detect.fault, self._crop_fault
        return StreamStates(
            looked_at="crop" if self._stands_in else "detect",
            crop_stream=self._crops.state,
            opened=self._crops.opened,
            detect_fault=detect.kind if detect else None,
            crop_fault=crop.kind if crop else None,
        )

    def attend(self) -> None:
        """Say that somebody is in view now: the large stream is wanted."""
        self._crops.attend()

    def closeup(self, frame: Frame) -> Closeup | None:
        """The large picture of the moment of a frame, to cut crops from; None: there is none, or
        the frame is of the large stream itself. Never waits.
        """
        is_small = self._is_wanted() and not self._stands_in
        return self._finder.of(frame) if is_small else None

    def newest(self) -> Frame | None:
        """As `LiveSource.newest`, of the stream that is looked at."""
        return self._looked_at.newest()

    def close(self) -> None:
        """End the iteration and let the camera go."""
        self._is_over = True
        self._came.set()
        self._crops.close()
        self._detect.close()

    def __iter__(self) -> Iterator[Frame]:
        return self.frames(lambda: None)

    def frames(self, idle: Callable[[], None]) -> Iterator[Frame]:
        """Frames until `close`; while none comes, `idle` is called about once a second."""
        while not self._is_over:
            self._came.clear()
            frame = self.newest()
            if frame:
                yield frame
            elif not self._came.wait(_TURN_S):
                idle()

    def _opened(
        self, settings: SourceSettings, clock: SteadyClock, *, is_patient: bool
    ) -> LiveSource:
        """The small stream. One that fails is waited for if the large one answers.

        Raises:
            SourceError: neither does, and we are not patient.
        """
        open_small = partial(
            LiveSource,
            settings.detect_stream,
            clock=clock,
            on_frame=self._detect_came,
            is_wanted=self._is_wanted,
        )
        try:
            return open_small(is_patient=is_patient)
        except SourceError:
            LiveSource(settings.crop_stream).close()
            return open_small(is_patient=True)

    @property
    def _looked_at(self) -> LiveSource:
        return (self._crops.live if self._stands_in else None) or self._detect

    @property
    def _crop_fault(self) -> CameraFault | None:
        return self._finder.fault or self._crops.fault if self._is_wanted() else None

    def _needs_large(self) -> bool:
        """Whether the large stream is wanted although nobody may be there: the small one is silent,
        and not because the camera rests.
        """
        if not self._is_wanted():
            self._stands_in, self._detect_s = False, time.monotonic()
        return self._stands_in or time.monotonic() - self._detect_s > _SILENT_S

    def _detect_came(self) -> None:
        now_s = time.monotonic()
        if now_s - self._detect_s > _GAP_S:
            self._flows_since_s = now_s
        self._detect_s = now_s
        is_proven = now_s - self._flows_since_s >= _PROVEN_S
        if self._stands_in and (is_proven or now_s - self._crop_s > _GAP_S):
            self._stands_in = False
        if not self._stands_in:
            self._tell()

    def _crop_came(self) -> None:
        self._crop_s = time.monotonic()
        if self._crop_s - self._detect_s > _SILENT_S:
            self._stands_in = True
        if self._stands_in:
            self._tell()

    def _tell(self) -> None:
        self._came.set()
        self._on_frame()
