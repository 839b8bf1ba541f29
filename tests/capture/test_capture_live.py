"""Live sources, against a real MJPEG server: newest wins, and nothing that hangs wedges us."""

import itertools
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from support.mjpeg_camera import PERIOD_S, SIZE_PX, MjpegCamera

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError


def settings(uri: str, stall_timeout_s: float = 5.0) -> SourceSettings:
    return SourceSettings(uri=uri, stall_timeout_s=stall_timeout_s)


def test_a_stream_gives_its_frames_with_the_wall_clock() -> None:
    with MjpegCamera() as camera, open_source(settings(camera.url)) as source:
        before = time.time()
        frames = list(islice(source, 5))
        after = time.time()
    assert (source.is_live, source.size_px, source.frames_expected) == (True, SIZE_PX, None)
    times = [frame.captured_utc_s for frame in frames]
    assert times == sorted(times)
    assert before - 5.0 < times[0] < times[-1] <= after


def test_who_is_slow_gets_the_newest_frame_and_the_drops_are_counted() -> None:
    with MjpegCamera() as camera, open_source(settings(camera.url)) as source:
        frames = []
        for frame in islice(source, 6):
            frames.append(frame)
            time.sleep(10 * PERIOD_S)
        dropped = source.dropped
    indices = [frame.index for frame in frames]
    shades = [int(frame.image[60, 80, 0]) for frame in frames]
    assert shades == pytest.approx(indices, abs=3), "the picture is the one of that number"
    assert indices[-1] - indices[0] > 20, "old frames were skipped"
    assert dropped >= indices[-1] + 1 - len(frames)


@pytest.mark.parametrize("fault", ["hangs_after", "ends_after"])
def test_a_camera_that_falls_silent_is_opened_again(fault: str) -> None:
    started = time.monotonic()
    with (
        MjpegCamera(**{fault: 10}) as camera,
        open_source(settings(camera.url, stall_timeout_s=2.0)) as source,
    ):
        frames = list(islice(source, 30))
        assert camera.connections == source.reopened + 1 >= 2
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices)), "numbers go on after the gap"
    assert time.monotonic() - started < 20


def test_a_camera_that_never_answers_is_an_error() -> None:
    with MjpegCamera() as camera:
        camera.answers = False
        started = time.monotonic()
        with pytest.raises(SourceError, match="answers, but gives no picture; check"):
            open_source(settings(camera.url, stall_timeout_s=0.5))
        assert time.monotonic() - started < 10


def test_who_is_patient_waits_for_a_camera_and_hears_that_there_is_none() -> None:
    with MjpegCamera() as camera:
        camera.answers = False
        source = open_source(settings(camera.url, stall_timeout_s=4.5), is_patient=True)
        turns = []

        def idle() -> None:
            turns.append(time.monotonic())
            camera.answers = len(turns) > 5

        with source:
            assert source.size_px == (0, 0)
            frame = next(source.frames(idle))
            assert source.size_px == SIZE_PX
    assert frame.image.shape[:2] == SIZE_PX[::-1]
    pauses = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert max(pauses) < 3.5, "never silent for long, whatever the stall timeout"


def test_iterating_ends_when_another_thread_closes_the_source() -> None:
    with MjpegCamera(hangs_after=5) as camera:
        source = open_source(settings(camera.url, stall_timeout_s=60.0))
        threading.Timer(0.5, source.close).start()
        started = time.monotonic()
        assert len(list(source)) <= 5
        assert time.monotonic() - started < 5


def test_a_camera_that_does_not_exist(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match=r"^camera 63: expected pictures, none came; check "):
        open_source(settings("63"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("videotestsrc ! appsink", "pipeline: expected an OpenCV that was built with GStreamer"),
        ("picamera://0", "stream picamera://0: expected picamera2 to be installed; apt install"),
        ("picamera://x", "stream picamera://x: expected "),
    ],
)
def test_a_source_that_takes_what_is_not_here_says_what(uri: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(settings(uri))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("rtsp://guard:hunter2@127.0.0.1:9/gate", "rtsp://127.0.0.1:9"),
        ("http://guard:hunter2@127.0.0.1:9/gate", "http://127.0.0.1:9"),
        ("rtsp://127.0.0.1:9/user=guard&password=hunter2&channel=1.sdp", "rtsp://127.0.0.1:9"),
    ],
)
def test_nobody_listens_at_the_address_and_its_login_stays_unsaid(address: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(settings(address))
    assert str(caught.value).startswith(f"stream {said}: refused the connection; check the port")


@pytest.mark.parametrize("password", ["hun/ter2", "hun#ter2", "hun?ter2", "5/ter2"])
def test_a_password_that_ends_the_address_is_told_how_to_be_written(password: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(settings(f"rtsp://guard:{password}@127.0.0.1:9/gate"))
    assert "in a password write # as %23, / as %2F, ? as %3F" in str(caught.value)
    assert "ter2" not in str(caught.value)


def test_a_camera_that_is_opened_again_and_again_leaves_nothing_open() -> None:
    with MjpegCamera() as camera:
        before = len(list(Path("/dev/fd").iterdir()))
        for _ in range(5):
            with open_source(settings(camera.url)) as source:
                next(iter(source))
        after = len(list(Path("/dev/fd").iterdir()))
    assert after <= before + 5, "a connection or two may still be closing"


LEAVES = """
import sys, time
from itertools import islice
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.capture.open_source import open_source
source = open_source(SourceSettings(uri=sys.argv[1]))
print(len(list(islice(source, 3))))
sys.setswitchinterval(60)  # whoever waits for Python's lock now gets it when it is too late
end_s = time.monotonic() + 0.5
while time.monotonic() < end_s:
    pass
"""


def test_a_process_that_ends_while_a_camera_sends_ends_well() -> None:
    """OpenCV cannot bear it that Python ends a thread under it, and aborts the process."""
    with MjpegCamera() as camera:
        command = [sys.executable, "-c", LEAVES, camera.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
