"""A stream that takes its decoder over gets nothing of the agent but a reopening."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.mjpeg_camera import MjpegCamera

from edge_reid.capture import decoder_process
from edge_reid.capture.live_source import LiveSource
from edge_reid.core.config.source_settings import SourceSettings

PROGRAM = """
import os, sys
from pathlib import Path
was_here = Path({was_here!r})
if was_here.exists():
    from edge_reid.capture.decoder import main; main()
was_here.touch()
sys.stdin.buffer.readline()
{what}
"""
"""The first time another program, and then the decoder."""
NESTS_DEEPLY = "print('[' * 50_000)"
ENDS_BY_A_SIGNAL_WITHOUT_A_NAME = "os.kill(os.getpid(), 40)"
LEAVES_NO_NUMBER_FOR_A_PICTURE = """
import mmap
mmap.mmap(int(sys.argv[1]), 4096)[64:88] = b"\\xff" * 24
"""
CLAIMS_MORE_PICTURES_THAN_CAN_BE = """
from edge_reid.capture.decoder_report import DecoderReport
report = DecoderReport(None, frames_read=2**53 - 1, damaged=2**53 - 1)
sys.stdout.buffer.write(report.to_line())
"""
NAMES_EVER_MORE_RIGHTS = """
import time
from edge_reid.capture.decoder_report import DecoderReport
for number in range(500):
    sys.stdout.buffer.write(DecoderReport(None, unenforced=f"right {number}").to_line())
    sys.stdout.buffer.flush()
    time.sleep(0.002)
"""
PATIENCE_S = 60.0


@pytest.fixture
def take_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def run_first(what: str) -> None:
        program = PROGRAM.format(was_here=str(tmp_path / "was-here"), what=what)
        monkeypatch.setattr(decoder_process, "_PROGRAM", program)

    return run_first


@pytest.mark.parametrize(
    "what",
    [
        NESTS_DEEPLY,
        pytest.param(
            ENDS_BY_A_SIGNAL_WITHOUT_A_NAME,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="real-time signals"),
        ),
        LEAVES_NO_NUMBER_FOR_A_PICTURE,
        CLAIMS_MORE_PICTURES_THAN_CAN_BE,
    ],
    ids=["nests deeply", "signal", "no number left", "claims all pictures"],
)
def test_the_next_decoder_shows_the_camera(what: str, take_over: Callable[[str], None]) -> None:
    take_over(what)
    with MjpegCamera() as camera:
        source, deadline_s = _opened(camera), time.monotonic() + PATIENCE_S
        with source:
            frames = source.frames(
                lambda: source.close() if time.monotonic() > deadline_s else None
            )
            frame = next(frames, None)
            assert frame is not None, source.fault
            assert source.reopened == 1
            assert source.damaged == 0


def test_what_it_says_of_its_rights_fills_no_log(
    take_over: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    take_over(NAMES_EVER_MORE_RIGHTS)
    with MjpegCamera() as camera, _opened(camera) as source:
        assert next(iter(source)).size_px == (160, 120)
    assert sum("more rights" in record.message for record in caplog.records) < 5


def _opened(camera: MjpegCamera) -> LiveSource:
    return LiveSource(SourceSettings(uri=camera.url), is_patient=True)
