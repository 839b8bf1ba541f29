"""The large stream of a camera that has a small one too: read only while somebody is there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from edge_reid.capture.decoder_report import ReadyPicture
from edge_reid.capture.live_source import LiveSource
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.stream_states import StreamState
from edge_reid.core.types import Frame

_log = logging.getLogger(__name__)

_SLOTS = 6
"""Pictures stay in memory until five more have come: 0.2 s at 25 frames/s, in which people are
detected in the small picture of the same moment."""
_TOLERANCE_S = 0.3
"""By which the times of two pictures of one moment differ at most: each stream has a delay of its
own that nobody can know, and one just opened has yet to find its least."""
_TURN_S = 0.5
"""Between two looks at whether the stream is wanted."""
_OPENS_WITHIN_S = 5.0
"""Until then it is no fault that no picture has come."""


class CropStream:
    """Opens a stream while it is wanted, and keeps its pictures of the last moments.

    Args:
        settings: what to open, and how.
        linger_s: it is closed when nobody has wanted it for so long.
        clock: the one by which the frames of the other stream have their times.
        is_needed: asked now and then; while it says so, somebody counts as there.
        is_wanted: whether the camera is to be open now at all, asked from any thread.
        on_frame: called in another thread whenever a newer picture has come.
    """

    def __init__(
        self,
        settings: SourceSettings,
        *,
        linger_s: float,
        clock: SteadyClock,
        is_needed: Callable[[], bool],
        is_wanted: Callable[[], bool],
        on_frame: Callable[[], None],
    ) -> None:
        self.opened = 0
        self._settings = settings
        self._linger_s = linger_s
        self._clock = clock
        self._is_needed = is_needed
        self._is_wanted = is_wanted
        self._on_frame = on_frame
        self._live: LiveSource | None = None
        self._opened_s = 0.0
        self._last_fault: CameraFault | None = None
        self._earlier = _Losses()
        # opened once at the start: a mistake in its address is told before somebody comes
        self._wanted_until_s = time.monotonic() + max(linger_s, _OPENS_WITHIN_S)
        self._is_over = False
        self._woken = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="crop-stream", daemon=True)
        self._keeper.start()

    @property
    def state(self) -> StreamState:
        live = self._live
        if live is None:
            return "closed"
        return "open" if live.recent else "opening"

    @property
    def live(self) -> LiveSource | None:
        """As it is open now."""
        return self._live

    @property
    def damaged(self) -> int:
        """Pictures that could not be decoded whole, since the start."""
        live = self._live
        return self._earlier.damaged + (live.damaged if live else 0)

    @property
    def reopened(self) -> int:
        """How often it was opened again although it was wanted all the time."""
        live = self._live
        return self._earlier.reopened + (live.reopened if live else 0)

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong; while it is closed or just opening, what was wrong the last time."""
        live = self._live
        is_new = time.monotonic() - self._opened_s < _OPENS_WITHIN_S
        if live is None or (is_new and not live.recent):
            return self._last_fault
        return live.fault

    def attend(self) -> None:
        """Say that somebody is in view now."""
        self._wanted_until_s = time.monotonic() + self._linger_s
        if self._live is None:
            self._woken.set()

    def around(self, frame: Frame) -> tuple[ReadyPicture, ...]:
        """Pictures that may be of the moment of a frame of the other stream, nearest first."""
        live = self._live
        apart_s = {
            picture: abs(self._clock.at(picture.captured_s) - frame.captured_utc_s)
            for picture in (live.recent if live else ())
        }
        near = (picture for picture, seconds in apart_s.items() if seconds <= _TOLERANCE_S)
        return tuple(sorted(near, key=lambda picture: apart_s[picture]))

    def close(self) -> None:
        """Let the camera go for good."""
        self._is_over = True
        self._woken.set()
        if threading.current_thread() is not self._keeper:
            self._keeper.join()

    def _keep(self) -> None:
        while not self._is_over:
            if self._is_needed():
                self.attend()
            is_due = self._is_wanted() and time.monotonic() < self._wanted_until_s
            if is_due and self._live is None:
                self._open()
            elif self._live and not is_due:
                self._let_go()
            self._woken.wait(_TURN_S)
            self._woken.clear()
        self._let_go()

    def _open(self) -> None:
        self._opened_s = time.monotonic()
        try:
            self._live = LiveSource(
                self._settings,
                is_patient=True,
                clock=self._clock,
                on_frame=self._on_frame,
                is_wanted=self._is_wanted,
                slots=_SLOTS,
            )
        except (SourceError, OSError) as error:  # a login file is being written, no memory is left
            self._last_fault = CameraFault("no-picture", str(error))
            return
        self.opened += 1
        _log.info("the crop stream is opened")

    def _let_go(self) -> None:
        live = self._live
        if live is None:
            return
        self._last_fault, self._live = self.fault, None
        self._earlier.add(live)
        live.close()
        _log.info("the crop stream is closed")


class _Losses:
    """Of the stream as it was open before."""

    def __init__(self) -> None:
        self.damaged = 0
        self.reopened = 0

    def add(self, live: LiveSource) -> None:
        self.damaged += live.damaged
        self.reopened += live.reopened
