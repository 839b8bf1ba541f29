"""The thread that reads one opened camera, judges its pictures and keeps the newest good one."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2

from edge_reid.capture.camera_tls import CameraTls
from edge_reid.capture.ffmpeg import DECODERS
from edge_reid.capture.relay import Relay, is_relayed
from edge_reid.capture.stream_judge import Damage, Lateness, StillPicture, digest, is_black
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.config import SourceSettings
from edge_reid.core.opencv import frame_kind, frame_rate, stream_time_s
from edge_reid.core.stream_url import HOW_TO_QUOTE, place

MAX_PIXELS = 20_000_000
_LATE_S = 2.0
"""Told from here on."""
_TOO_LATE_S = 5.0
"""Then the stream is opened again, which begins at its newest key picture."""
_LATELY = 250
"""Pictures, of which the share of damaged ones is told."""
_BLACK_S = 5.0
"""Told when it lasts; a picture now and then is nothing."""
_ALIVE_S = 3.0
"""A stream that sent something so lately flows."""
_KEY_FRAME_USUAL_S = 3.0
"""Until then it is no fault that none has come."""
_READ_TIMEOUT_S = 3600.0
"""Of OpenCV, behind a relay that ends a silent stream itself."""
_LEAVE_WAIT_S = 3.0
"""Most that the end of the process waits for OpenCV."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture as it came."""

    picture: Any
    """BGR uint8 (H, W, 3)."""
    index: int
    captured_s: float
    """Monotonic."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        height, width = self.picture.shape[:2]
        return int(width), int(height)


class Reader(threading.Thread):
    """Opens the capture and keeps its newest good picture, until stopped or until the capture ends.

    Args:
        settings: what to open, and how.
        still: remembers the picture across readers of one camera.
        max_still_s: a picture that stays the same for so long ends the reading.
        first_index: of the first frame.
        earlier: what was wrong before; holds until more is known.
    """

    def __init__(
        self,
        settings: SourceSettings,
        still: StillPicture,
        *,
        max_still_s: float,
        first_index: int = 0,
        earlier: CameraFault | None = None,
    ) -> None:
        self._camera = camera_name(settings.uri)
        super().__init__(name=f"capture {self._camera}", daemon=True)
        self.fps = 0.0
        self.dropped = 0
        self.max_still_s = max_still_s
        self.first_index = self.frames_read = first_index
        self.is_over = False
        self.is_frozen = False
        self._settings = settings
        self._still = still
        self._earlier = earlier
        self._found: CameraFault | None = None
        self._relay: Relay | None = None
        self._newest: Shot | None = None
        self._changed = threading.Condition()
        self._damage = Damage(heals_s=settings.stall_timeout_s)
        self._spoilt: deque[bool] = deque(maxlen=_LATELY)
        self._lateness = Lateness()
        self._late_s = 0.0
        self._errors = 0
        self._light_s: float | None = None
        self._last_picture_s: float | None = None
        self.start()

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong now."""
        if self._found:
            return self._found
        if self._relay and self._relay.fault:
            return self._relay.fault
        if self._last_picture_s is None:
            return self._not_yet()
        if time.monotonic() - self._last_picture_s > self._settings.stall_timeout_s:
            return self._no_picture("no more pictures come")
        return self._imperfect()

    @property
    def awaits_key_picture(self) -> bool:
        """Whether the stream flows, and nothing of it can be decoded yet."""
        return self._last_picture_s is None and self._is_flowing()

    def take(self, timeout_s: float) -> Shot | None:
        """The newest picture not taken yet; None if none comes in time, or the capture ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self.is_over, timeout_s)
            shot, self._newest = self._newest, None
            return shot

    def stop(self) -> None:
        with self._changed:
            self.is_over = True
            self._changed.notify_all()
        if self._relay:
            self._relay.close()

    def run(self) -> None:
        capture = None
        DECODERS.listen()
        try:
            capture = self._open()
            self.fps = frame_rate(capture)
            self._errors = DECODERS.errors
            while not self.is_over:
                is_waiting = bool(self._relay and self._relay.is_waiting)
                is_read, picture = capture.read()
                if not is_read or not self._judge(picture, capture, is_waiting=is_waiting):
                    break
            if self._last_picture_s is None and DECODERS.refused:
                self._found = self._too_large()
        except ValueError:
            self._found = self._unclear_address()
        finally:
            if capture is not None:
                capture.release()
            DECODERS.rest()
            self.stop()

    def _open(self) -> cv2.VideoCapture:
        """Raises ValueError: the address is none."""
        uri, settings = self._settings.uri, self._settings
        DECODERS.refused = 0
        if uri.isdecimal():
            return cv2.VideoCapture(int(uri))
        if "://" not in uri:
            return cv2.VideoCapture(uri)
        timeout_s = settings.stall_timeout_s
        if is_relayed(uri) and not settings.allow_redirects:
            tls = CameraTls(settings.ca_file, settings.tls_fingerprint)
            self._relay = Relay(uri, tls, timeout_s, self._camera)
            uri, timeout_s = self._relay.url, _READ_TIMEOUT_S
            if self.is_over:  # stopped meanwhile, before there was a relay to close
                self._relay.close()
        timeout_ms = min(int(timeout_s * 1000), 2**31 - 1)  # what OpenCV can hold
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, limits)

    def _judge(self, picture: Any, capture: cv2.VideoCapture, *, is_waiting: bool) -> bool:
        """Keep a picture if it is good; whether there is any use in reading on."""
        now_s = time.monotonic()
        if picture.shape[0] * picture.shape[1] > MAX_PIXELS:
            self._found = self._too_large()
            return False
        errors = DECODERS.errors - self._errors
        self._errors += errors
        is_spoilt = self._damage.spoils(frame_kind(capture), errors, now_s)
        self._spoilt.append(is_spoilt)
        stream_s = stream_time_s(capture)
        self._late_s = self._lateness.of(stream_s, now_s, is_waiting=is_waiting)
        is_new = self._still.is_new(digest(picture), now_s)
        still_s = self._still.lasts_s(now_s)
        self.is_frozen = still_s >= self._settings.stall_timeout_s
        self._last_picture_s = now_s
        self._found = self._frozen(still_s) if self.is_frozen else None
        if self._light_s is None or not is_black(picture):
            self._light_s = now_s
        self._put(
            picture, now_s - self._late_s, is_good=not is_spoilt and (is_new or not self.is_frozen)
        )
        return still_s < self.max_still_s and self._late_s < _TOO_LATE_S

    def _put(self, picture: Any, captured_s: float, *, is_good: bool) -> None:
        with self._changed:
            if is_good:
                self.dropped += self._newest is not None
                self._newest = Shot(picture, self.frames_read, captured_s)
            else:
                self.dropped += 1
            self.frames_read += 1
            self._changed.notify_all()

    def _is_flowing(self) -> bool:
        last_s = self._relay.last_byte_s if self._relay else None
        return last_s is not None and time.monotonic() - last_s < _ALIVE_S

    def _not_yet(self) -> CameraFault:
        first_s = self._relay.first_byte_s if self._relay else None
        if self._is_flowing() and first_s and time.monotonic() - first_s > _KEY_FRAME_USUAL_S:
            return CameraFault(
                "no-key-frame",
                f"{self._camera}: sends, but no key frame yet; set its key frame interval (GOP)"
                " to 2 s or so, and its smart codec off",
            )
        if self._relay and self._relay.is_connected:
            return self._no_picture("answers, but gives no picture")
        return self._earlier or self._no_picture("expected pictures, none came")

    def _no_picture(self, what: str) -> CameraFault:
        advice = "that it is plugged in and no other program uses it"
        if "://" in self._settings.uri:
            advice = "that the camera sends video there, and the network"
        return CameraFault("no-picture", f"{self._camera}: {what}; check {advice}")

    def _frozen(self, still_s: float) -> CameraFault:
        return CameraFault(
            "frozen",
            f"{self._camera}: has sent the same picture for {still_s:.0f} s; it is opened again now"
            " and then; if that does not help, restart the camera",
        )

    def _imperfect(self) -> CameraFault | None:
        """What is wrong with pictures that do come."""
        now_s = time.monotonic()
        with suppress(RuntimeError):  # the thread adds to it meanwhile: then next time
            if spoilt := sum(self._spoilt):
                return CameraFault(
                    "damaged",
                    f"{self._camera}: {spoilt} of its last {len(self._spoilt)} pictures came"
                    " damaged and were left out; check the network, and take"
                    " source.rtsp_transport tcp",
                )
        if self._late_s > _LATE_S:
            return CameraFault(
                "late",
                f"{self._camera}: pictures are {self._late_s:.0f} s old, for they come faster than"
                " they can be decoded here; use its smaller stream, or fewer frames a second",
            )
        if self._light_s is not None and now_s - self._light_s > _BLACK_S:
            line = f"{self._camera}: its picture is black; check its lens and its settings"
            return CameraFault("black", line)
        return None

    def _too_large(self) -> CameraFault:
        return CameraFault(
            "too-large",
            f"{self._camera}: expected pictures of at most {MAX_PIXELS // 1_000_000} megapixels,"
            " and got more; use its smaller stream",
        )

    def _unclear_address(self) -> CameraFault:
        return CameraFault(
            "unknown-host",
            f"{self._camera}: expected scheme://user:password@host:port/path, this has no host or"
            f" no port; {HOW_TO_QUOTE}",
        )


def camera_name(uri: str) -> str:
    """What to call it where others read: passwords stay out of logs."""
    return f"stream {place(uri)}" if "://" in uri else f"camera {uri}"


@atexit.register
def stop_readers() -> None:
    """Python ends the threads that want to go on after its own end, in the middle of OpenCV's
    code, which aborts the process; so none may be left.
    """
    readers = [each for each in threading.enumerate() if isinstance(each, Reader)]
    for each in readers:
        each.stop()
    deadline_s = time.monotonic() + _LEAVE_WAIT_S
    for each in readers:
        each.join(max(0.0, deadline_s - time.monotonic()))
