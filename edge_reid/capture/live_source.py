"""Frames from a camera or a stream: the newest wins, and one that hangs is opened again.

The camera is decoded in a process of its own (`decoder.py`). A thread of the source supervises it:
it hears its reports, says that there is a newer picture, kills it when none comes, and starts
another one. Whoever takes frames never waits for a camera.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from edge_reid.capture.camera_login import address_with_login
from edge_reid.capture.camera_order import CameraOrder
from edge_reid.capture.decoder_process import DecoderProcess
from edge_reid.capture.decoder_report import DecoderReport, ReadyPicture
from edge_reid.capture.frame_slots import LEAST_SLOTS, FrameSlots, Slot
from edge_reid.capture.pixels import rgb_image, small_luma
from edge_reid.capture.reopening import ReopenPause
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.opencv import DEFAULT_FPS
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.types import Frame, Image, Luma

T = TypeVar("T")

_log = logging.getLogger(__name__)

_CLOSE_WAIT_S = 3.0
_MOST_AGE_S = 2.0
"""An older picture decides nothing; the decoder keeps those back, unless it was held up itself."""
_TURN_S = 1.0
"""Longest wait for a frame before whoever iterates hears that there is none."""
_KEY_PICTURE_WAIT_S = 90.0
"""A stream that flows may take so long to its first key picture: "smart" codecs send few."""
_MOST_STILL_S = 600.0
"""A picture that never changes is asked after ever more seldom: it may be a still scene."""
_START_WAIT_S = 10.0
"""Within which a decoder says something at all, on a slow and busy device."""
_MAX_FPS = 1000.0


class LiveSource(ClosedAfterUse):
    """A camera index, a device path, a pipeline, or the URL of a stream.

    Frames carry the time at which they were taken, as far as it can be known; `Frame.index` counts
    every frame read, so a gap in it is a drop.

    Args:
        settings: what to open, and how.
        is_patient: a source that gives no picture at first is waited for, as later on. Until one
            has come, `size_px` is (0, 0).
        clock: gives frames their time.
        on_frame: called in the supervising thread whenever a newer frame can be taken; it must
            return soon.
        slots: places for pictures in memory; with more of them pictures of moments ago stay there
            too, for `recent` and `read`.
        is_wanted: whether it is to be open now, asked from any thread. While it is not, there is no
            decoder, no frame and no fault, and opening it waits for nothing.

    Raises:
        SourceError: `login_file` holds no login; or no picture within `stall_timeout_s` of opening,
            and we are not patient; of a stream that flows, within 90 s. Later trouble is not an
            error: the source is opened again until it answers (`reopened` counts).
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
        slots: int = LEAST_SLOTS,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.reopened = 0
        self.fps, self.size_px = DEFAULT_FPS, (0, 0)
        self.lag_s = 0.0
        self._settings = settings
        self._address = address_with_login(settings)
        self._clock = clock or SteadyClock()
        self._on_frame = on_frame
        self._is_wanted = is_wanted
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._newest: ReadyPicture | None = None
        self._taken = 0
        self._earlier = _Counts()
        self._max_still_s = settings.stall_timeout_s
        self._pause = ReopenPause()
        self._slots = FrameSlots(count=slots)
        self._recent: deque[ReadyPicture] = deque(maxlen=slots - 1)
        self._report = DecoderReport(None)
        self._decoder: DecoderProcess | None = None
        self._has_tried = False
        self._supervisor = threading.Thread(target=self._supervise, name="capture", daemon=True)
        self._supervisor.start()
        if not is_patient:
            self._await_first()

    @property
    def dropped(self) -> int:
        """Frames that were read, or skipped undecoded, and never taken."""
        read, is_pending = self._report.frames_read, self._newest is not None
        return read + self._earlier.skipped + self._report.skipped - self._taken - is_pending

    @property
    def damaged(self) -> int:
        return self._earlier.damaged + self._report.damaged

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong now; None when pictures come as they should."""
        decoder = self._decoder
        return decoder.fault if decoder else self._report.fault

    @property
    def recent(self) -> tuple[ReadyPicture, ...]:
        """The newest pictures, oldest first, as far as their memory may still hold them."""
        with self._changed:
            return tuple(self._recent)

    def close(self) -> None:
        """End the iteration and let the camera go."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        if decoder := self._decoder:
            decoder.kill()
        if threading.current_thread() is not self._supervisor:
            self._supervisor.join(_CLOSE_WAIT_S)

    def newest(self) -> Frame | None:
        """The newest frame that was not taken yet; None when none has come since, it is too old by
        now, or none is wanted. Never waits.
        """
        with self._changed:
            picture, self._newest = self._newest, None
        if picture is None or not self._is_wanted():
            return None
        if time.monotonic() - picture.captured_s > _MOST_AGE_S:
            return None
        copied = self.read(picture, _copied)
        if copied is None:
            return None
        self._taken += 1
        captured_s = min(picture.captured_s, time.monotonic())
        image, luma = copied
        return Frame(image, picture.index, self._clock.at(captured_s), luma)

    def read(self, picture: ReadyPicture, make: Callable[[memoryview, Slot], T]) -> T | None:
        """What `make` makes of the bytes of a picture, a copy; None when a newer picture has taken
        its place, or the source is closed. Never waits for the camera.
        """
        with self._taking:
            if self._closed.is_set():
                return None
            with self._slots.reading(picture.slot) as data:
                made = None if data is None else make(data, picture.slot)
            return made if self._slots.holds(picture.slot) else None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames(lambda: None)

    def frames(self, idle: Callable[[], None]) -> Iterator[Frame]:
        """Frames until `close`; while none comes, `idle` is called about once a second."""
        while not self._closed.is_set():
            frame = self.newest()
            if frame:
                yield frame
            elif not self._await_change(_TURN_S):
                idle()

    def _await_change(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: self._newest is not None or self._closed.is_set(), timeout_s
            )

    def _await_first(self) -> None:
        """Raises SourceError: the first attempt has brought no picture."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._has_tried)
            has_come = self._newest is not None
        if not has_come and self._is_wanted():
            fault = self.fault
            self.close()
            raise SourceError(str(fault))

    def _supervise(self) -> None:
        try:
            while not self._closed.is_set():
                if not self._is_wanted():
                    self._rest()
                    continue
                self._closed.wait(self._read_once())
                self.reopened += self._is_wanted() and not self._closed.is_set()
        finally:
            with self._taking:  # whoever is at a picture finishes it
                self._closed.set()
                self._slots.close()

    def _rest(self) -> None:
        """Have nothing to do with the camera for a moment."""
        self._decoder = None
        self._report = DecoderReport(None, frames_read=self._report.frames_read)
        with self._changed:
            self._newest, self._has_tried = None, True
            self._changed.notify_all()
        self._closed.wait(_TURN_S)

    def _read_once(self) -> float:
        """One decoder from its start to its end; the pause until the next, seconds."""
        order = self._order()
        try:
            self._decoder = decoder = DecoderProcess(order, self._slots)
        except OSError as error:  # no memory, no process left: for now
            self._decoder = None
            what = f"its decoder cannot be started ({error.strerror}); free some memory"
            return self._wind_up(CameraFault("no-picture", f"{order.camera}: {what}"))
        try:
            self._follow(decoder)
        finally:
            decoder.stop()
        return self._wind_up(decoder.fault)

    def _order(self) -> CameraOrder:
        settings = self._settings
        with suppress(SourceError):  # being written anew: the login of before is left
            self._address = address_with_login(settings)
        return CameraOrder(
            self._address,
            settings.stall_timeout_s,
            settings.rtsp_transport,
            str(settings.ca_file) if settings.ca_file else None,
            settings.tls_fingerprint,
            allow_redirects=settings.allow_redirects,
            max_still_s=self._max_still_s,
            first_index=self._report.frames_read,
            earlier=self._report.fault,
            stillness=self._report.stillness,
        )

    def _follow(self, decoder: DecoderProcess) -> None:
        """Hear a decoder until it ends, is not wanted any more, or is to be given up."""
        last_s, has_spoken = time.monotonic(), False
        while self._is_wanted() and not (decoder.is_over or self._closed.is_set()):
            report = decoder.next_report(_TURN_S)
            if report:
                self._report, has_spoken = report, True
                self._warn_of(report)
            if report and report.picture:
                last_s = time.monotonic()
                self._keep(report, report.picture)
            elif time.monotonic() - last_s > self._patience_s(decoder, has_spoken=has_spoken):
                return

    def _patience_s(self, decoder: DecoderProcess, *, has_spoken: bool) -> float:
        """How long to go without a good picture."""
        stall_s, report = self._settings.stall_timeout_s, decoder.report
        if not has_spoken:
            return max(stall_s, _START_WAIT_S)
        if report.awaits_key_picture:
            return max(_KEY_PICTURE_WAIT_S, stall_s)
        return max(self._max_still_s, stall_s) + _TURN_S

    def _keep(self, report: DecoderReport, picture: ReadyPicture) -> None:
        if 0 < report.fps <= _MAX_FPS:
            self.fps = report.fps
        self.size_px = picture.slot.width, picture.slot.height
        self.lag_s = report.lag_s
        self._pause.succeeded()
        with self._changed:
            self._newest = picture
            self._recent.append(picture)
            self._changed.notify_all()
        self._on_frame()

    def _wind_up(self, fault: CameraFault | None) -> float:
        """Add up what a decoder did that ended so; the pause until the next, seconds."""
        report = self._report
        if report.stillness:
            self._max_still_s = min(self._max_still_s * 2, _MOST_STILL_S)
        elif report.has_pictures:
            self._max_still_s = self._settings.stall_timeout_s
        self._earlier.add(report)
        self._report = DecoderReport(
            fault, frames_read=report.frames_read, stillness=report.stillness
        )
        with self._changed:
            self._has_tried = True
            self._changed.notify_all()
        return self._pause.after(fault) if self._is_wanted() else 0.0

    def _warn_of(self, report: DecoderReport) -> None:
        if report.unenforced:
            _warn_once(report.unenforced)


def _copied(data: memoryview, slot: Slot) -> tuple[Image, Luma | None]:
    return rgb_image(data, slot), small_luma(data, slot)


class _Counts:
    """Of all decoders before the one at work."""

    def __init__(self) -> None:
        self.skipped = 0
        self.damaged = 0

    def add(self, report: DecoderReport) -> None:
        self.skipped += report.skipped
        self.damaged += report.damaged


_WARNED: set[str] = set()
_WARNINGS_MAX = 4
"""A decoder that was taken over may name ever other rights."""


def _warn_once(unenforced: str) -> None:
    if unenforced not in _WARNED and len(_WARNED) < _WARNINGS_MAX:
        _WARNED.add(unenforced)
        _log.warning("decoders of cameras run with more rights than they need: %s", unenforced)
