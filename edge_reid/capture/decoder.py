"""The process that reads one camera: `main`, in a Python of its own.

Its order comes on standard input, reports leave on standard output, pictures through shared memory.
It ends with its camera, and with the agent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from edge_reid.capture.camera_order import CameraOrder, no_picture
from edge_reid.capture.decoder_report import DecoderReport, ReadyPicture
from edge_reid.capture.frame_slots import MAX_PIXELS, FrameSlots
from edge_reid.capture.open_reader import open_reader
from edge_reid.capture.picture import CannotReadError, DecodedPicture, PictureReader
from edge_reid.capture.picture_judge import PictureJudge, is_too_large
from edge_reid.capture.relay import Relay
from edge_reid.capture.rights import die_with_parent
from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.stream_url import HOW_TO_QUOTE

_REPORTS_EVERY_S = 0.5
_ALIVE_S = 3.0
"""A stream that sent something so lately flows."""
_KEY_PICTURE_USUAL_S = 3.0
"""Until then it is no fault that none has come."""


def main() -> None:
    """Read the order, then the camera, until one of both sides ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the agent ends us when it ends
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    order = CameraOrder.from_line(sys.stdin.buffer.readline())
    Decoder(order, FrameSlots(descriptor)).run()
    sys.stdout.flush()
    os._exit(0)  # threads of libraries may hang


class Decoder:
    """Reads one camera to its end.

    Args:
        order: what, and how.
        slots: where good pictures go.
    """

    def __init__(self, order: CameraOrder, slots: FrameSlots) -> None:
        self._order = order
        self._slots = slots
        self._judge = PictureJudge(order)
        self._relay: Relay | None = None
        self._reader: PictureReader | None = None
        self._found: CameraFault | None = None
        self._frames_read = order.first_index
        self._last_picture_s: float | None = None
        self._unenforced: str | None = None
        self._output = threading.Lock()

    def run(self) -> None:
        try:
            opened = open_reader(self._order)
            self._reader, self._relay = opened.reader, opened.relay
            self._unenforced = opened.unenforced
            threading.Thread(target=_end_with_agent, daemon=True).start()
            threading.Thread(target=self._report_on, daemon=True).start()
            self._read(opened.reader)
        except ValueError:
            self._found = self._unclear_address()
        except CannotReadError as error:
            self._found = error.fault
        self._report()

    def _read(self, reader: PictureReader) -> None:
        for picture in reader.pictures():
            if not self._take(picture):
                break
        if self._last_picture_s is None and reader.refused:
            self._found = self._too_large()

    def _take(self, picture: DecodedPicture) -> bool:
        """Hand on a picture if it is good; whether there is any use in reading on."""
        if is_too_large(picture):
            self._found = self._too_large()
            return False
        is_good = self._judge.is_good(picture, self._reader.skipped if self._reader else 0)
        self._last_picture_s = time.monotonic()
        self._report(self._put(picture) if is_good else None)
        self._frames_read += 1
        return not self._judge.has_enough

    def _put(self, picture: DecodedPicture) -> ReadyPicture:
        pieces = [piece for plane in picture.planes for piece in plane.pieces()]
        slot = self._slots.write(pieces, picture.width, picture.height, picture.layout)
        return ReadyPicture(slot, self._frames_read, picture.captured_s)

    def _report_on(self) -> None:
        while True:
            time.sleep(_REPORTS_EVERY_S)
            self._report()

    def _report(self, picture: ReadyPicture | None = None) -> None:
        reader = self._reader
        report = DecoderReport(
            self._fault(),
            picture,
            frames_read=self._frames_read + (picture is not None),
            skipped=reader.skipped if reader else 0,
            damaged=self._judge.damaged,
            fps=reader.fps if reader else 0.0,
            lag_s=self._judge.lag_s,
            awaits_key_picture=self._last_picture_s is None and self._is_flowing(),
            has_pictures=self._last_picture_s is not None,
            stillness=self._judge.stillness,
            unenforced=self._unenforced,
        )
        with self._output:
            sys.stdout.buffer.write(report.to_line())
            sys.stdout.buffer.flush()

    def _fault(self) -> CameraFault | None:
        if self._found:
            return self._found
        if self._relay and self._relay.fault:
            return self._relay.fault
        if self._last_picture_s is None:
            return self._not_yet()
        if time.monotonic() - self._last_picture_s > self._order.stall_timeout_s:
            return no_picture(self._order, "no more pictures come")
        return self._judge.fault

    def _is_flowing(self) -> bool:
        last_s = self._relay.last_byte_s if self._relay else None
        return last_s is not None and time.monotonic() - last_s < _ALIVE_S

    def _not_yet(self) -> CameraFault:
        first_s = self._relay.first_byte_s if self._relay else None
        if self._is_flowing() and first_s and time.monotonic() - first_s > _KEY_PICTURE_USUAL_S:
            return CameraFault(
                "no-key-frame",
                f"{self._order.camera}: sends, but no key frame yet; set its key frame interval"
                " (GOP) to 2 s or so, and its smart codec off",
            )
        if self._relay and self._relay.is_connected:
            return no_picture(self._order, "answers, but gives no picture")
        return self._order.earlier or no_picture(self._order, "expected pictures, none came")

    def _too_large(self) -> CameraFault:
        return CameraFault(
            "too-large",
            f"{self._order.camera}: expected pictures of at most {MAX_PIXELS // 1_000_000}"
            " megapixels, and got more; use its smaller stream",
        )

    def _unclear_address(self) -> CameraFault:
        return CameraFault(
            "unknown-host",
            f"{self._order.camera}: expected scheme://user:password@host:port/path, this has no"
            f" host or no port; {HOW_TO_QUOTE}",
        )


def _end_with_agent(end: Callable[[int], None] = os._exit) -> None:
    """Its end of the pipe closes however it ends."""
    sys.stdin.buffer.read()
    end(0)
