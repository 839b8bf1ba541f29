"""Which pictures of a camera may be handed on, and what is wrong with the others."""

from __future__ import annotations

import time
from collections import deque

from edge_reid.capture.camera_order import CameraOrder
from edge_reid.capture.frame_slots import MAX_PIXELS
from edge_reid.capture.picture import DecodedPicture
from edge_reid.capture.stream_judge import (
    Damage,
    Stillness,
    StillPicture,
    digest,
    is_black,
    is_covered,
)
from edge_reid.core.camera_fault import CameraFault

_LATE_S = 2.0
"""Told from here on, and not handed on: nobody is to decide by it."""
_TOO_LATE_S = 5.0
"""Then the stream is opened again: what is late was not late here."""
_LATELY = 250
"""Pictures, of which the share of damaged ones is told."""
_SKIPPED_LATELY_S = 10.0
_DARK_S = 5.0
"""Told when it lasts; a picture now and then is nothing."""
_LOOKS_EVERY_S = 1.0
"""For light, which takes longer than the rest."""
_BLACK_LEVEL, _BLACK_LEVEL_OF_VIDEO = 16, 32


class PictureJudge:
    """Judges the pictures of one camera, one after the other.

    Args:
        order: what is read, and how it stood before.
    """

    def __init__(self, order: CameraOrder) -> None:
        self.damaged = 0
        self.lag_s = 0.0
        self.is_frozen = False
        self._order = order
        self._still: StillPicture | None = None
        self._still_s = 0.0
        self._damage = Damage(heals_s=order.stall_timeout_s)
        self._spoilt: deque[bool] = deque(maxlen=_LATELY)
        self._skipped = (0, -_SKIPPED_LATELY_S)
        self._light = _Light()

    def is_good(self, picture: DecodedPicture, skipped: int) -> bool:
        """Take in a picture, and how many were skipped so far; whether it may be handed on."""
        now_s = time.monotonic()
        if skipped > self._skipped[0]:
            self._skipped = skipped, now_s
        is_spoilt = self._damage.spoils(picture.kind, picture.errors, now_s)
        self.damaged += is_spoilt
        self._spoilt.append(is_spoilt)
        self.lag_s = now_s - picture.captured_s
        if self._still is None:
            self._still = StillPicture(self._order.stillness, now_s)
        is_new = self._still.is_new(digest(picture.planes[0].some_rows()), now_s)
        self._still_s = self._still.lasts_s(now_s)
        self.is_frozen = self._still_s >= self._order.stall_timeout_s
        self._light.look(picture, now_s)
        return not is_spoilt and (is_new or not self.is_frozen) and self.lag_s < _LATE_S

    @property
    def has_enough(self) -> bool:
        """Whether there is no use in reading on: opening the camera again may help."""
        return self._still_s >= self._order.max_still_s or self.lag_s >= _TOO_LATE_S

    @property
    def stillness(self) -> Stillness | None:
        if self._still is None or not self.is_frozen:
            return None
        return self._still.stillness(time.monotonic())

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong with pictures that do come."""
        camera, now_s = self._order.camera, time.monotonic()
        if self.is_frozen:
            return CameraFault(
                "frozen",
                f"{camera}: has sent the same picture for {self._still_s:.0f} s; it is opened again"
                " now and then; if that does not help, restart the camera",
            )
        if spoilt := sum(list(self._spoilt)):
            return CameraFault(
                "damaged",
                f"{camera}: {spoilt} of its last {len(self._spoilt)} pictures came damaged and were"
                " left out; check the network, and take source.rtsp_transport tcp",
            )
        if now_s - self._skipped[1] < _SKIPPED_LATELY_S or self.lag_s > _LATE_S:
            return CameraFault(
                "late",
                f"{camera}: pictures come faster than they can be decoded here, or late (the last"
                f" one by {self.lag_s:.1f} s; {self._skipped[0]} skipped so far); use its smaller"
                " stream, or fewer frames a second",
            )
        return self._light.fault(camera, now_s)


class _Light:
    """Since when a picture shows nothing."""

    def __init__(self) -> None:
        self._looked_s = float("-inf")
        self._since_s: float | None = None
        self._is_black = False

    def look(self, picture: DecodedPicture, now_s: float) -> None:
        if now_s - self._looked_s < _LOOKS_EVERY_S:
            return
        self._looked_s = now_s
        some = b"".join(bytes(row)[::4] for row in picture.planes[0].some_rows()[::4])
        level = _BLACK_LEVEL_OF_VIDEO if picture.layout == "i420" else _BLACK_LEVEL
        self._is_black = is_black(some, level)
        if not (self._is_black or is_covered(some)):
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s

    def fault(self, camera: str, now_s: float) -> CameraFault | None:
        if self._since_s is None or now_s - self._since_s < _DARK_S:
            return None
        if self._is_black:
            line = f"{camera}: its picture is black; check its lens and its settings"
            return CameraFault("black", line)
        line = f"{camera}: its picture is all of one shade; check whether its lens is covered"
        return CameraFault("covered", line)


def is_too_large(picture: DecodedPicture) -> bool:
    """Whether it has more pixels than there is room for."""
    return picture.width * picture.height > MAX_PIXELS
