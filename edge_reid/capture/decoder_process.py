"""The process that decodes a camera, as the agent sees it: started, heard, and killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

from edge_reid.capture.camera_order import CameraOrder, no_picture
from edge_reid.capture.decoder_report import MAX_LINE_BYTES, DecoderReport
from edge_reid.capture.frame_slots import FrameSlots
from edge_reid.core.camera_fault import CameraFault

_PROGRAM = "from edge_reid.capture.decoder import main; main()"
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME")
_KEPT_BEGINNINGS = ("PYTHON", "OPENCV_", "GST_", "SSL_CERT_", "LIBCAMERA_", "RES_", "COV_")
"""Of the environment: what else is in it may be a secret."""
_PIECE_BYTES = 1 << 16
_MOST_FPS = 100_000.0
"""No decoder is faster, of whatever comes unpaced; no sum of it is too large for a message."""
_AT_ONCE_S = 10.0
"""Of pictures that wait in a camera when it is opened."""


class DecoderProcess:
    """A process that reads one camera; it ends by itself when the camera does.

    Args:
        order: what it reads, and how.
        slots: the memory in which it puts pictures.
    """

    def __init__(self, order: CameraOrder, slots: FrameSlots) -> None:
        earlier = order.earlier or no_picture(order, "expected pictures, none came")
        self.report = DecoderReport(earlier, frames_read=order.first_index)
        """The newest."""
        self.is_over = False
        self._order = order
        self._started_s = time.monotonic()
        self._waiting = b""
        program = [sys.executable, "-c", _PROGRAM, str(slots.descriptor), str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[slots.descriptor],
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the agent
        )
        self._tell(order)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong, as the decoder says; or that it crashed."""
        if not self.is_over:
            return self.report.fault
        code = self._process.returncode
        if code in {0, None, -signal.SIGKILL}:
            return self.report.fault or no_picture(self._order, "no more pictures come")
        how = _signal_name(-code) if code < 0 else f"code {code}"
        return CameraFault(
            "no-picture",
            f"{self._order.camera}: its decoder crashed ({how}), and is started again; if that goes"
            " on, set the camera to another codec",
        )

    def next_report(self, timeout_s: float) -> DecoderReport | None:
        """The next one; None if none comes in time, or the process is over.

        Reports that wait are all read, and only the newest picture of them counts.
        """
        if not self._wait(timeout_s):
            return None
        lines = self._lines()
        reports = [report for line in lines if (report := self._read(line))]
        if not reports:
            return None
        self.report = reports[-1]
        picture = next((each.picture for each in reversed(reports) if each.picture), None)
        return replace(self.report, picture=picture)

    def kill(self) -> None:
        """End it at once, from any thread; whoever waits for a report stops waiting."""
        with suppress(OSError):
            self._process.kill()

    def stop(self) -> None:
        """End it at once, and wait until nothing of it is left."""
        self.is_over = True
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()

    def _tell(self, order: CameraOrder) -> None:
        with suppress(OSError):  # it has ended already: reading says so
            if self._process.stdin:
                self._process.stdin.write(order.to_line())
                self._process.stdin.flush()

    def _wait(self, timeout_s: float) -> bool:
        """Whether there is something to read."""
        if self.is_over or self._process.stdout is None:
            return False
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _lines(self) -> list[bytes]:
        output = self._process.stdout
        piece = os.read(output.fileno(), _PIECE_BYTES) if output else b""
        *lines, self._waiting = (self._waiting + piece).split(b"\n")
        if not piece or len(self._waiting) > MAX_LINE_BYTES:
            self._end_reading()
        return lines

    def _end_reading(self) -> None:
        """It has ended, or says what cannot be."""
        self.is_over = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)

    def _read(self, line: bytes) -> DecoderReport | None:
        try:
            report = DecoderReport.from_line(line)
            self._check_counts(report)
        except (ValueError, TypeError, KeyError, RecursionError):
            self._end_reading()
            return None
        return report

    def _check_counts(self, report: DecoderReport) -> None:
        """Raise ValueError for more pictures than there can be: who adds them up would soon have a
        number that no message may hold.
        """
        most = _MOST_FPS * (_AT_ONCE_S + time.monotonic() - self._started_s)
        first, read = self._order.first_index, report.frames_read
        index = report.picture.index if report.picture else first
        are_possible = max(read - first, report.skipped, report.damaged) <= most
        if not (are_possible and first <= index <= read):
            raise ValueError(f"expected at most {most:.0f} pictures, got {report}")


def _signal_name(number: int) -> str:
    """Real-time signals have none."""
    return next((known.name for known in signal.Signals if known == number), f"signal {number}")


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)
    }
