"""A decoder goes with its agent, however either ends, and takes nothing with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.decoders import decoders
from support.mjpeg_camera import MjpegCamera

from edge_reid.capture.live_source import LiveSource
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

AGENT = """
import sys
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.capture.open_source import open_source
for frame in open_source(SourceSettings(uri=sys.argv[1])):
    print(frame.index, flush=True)
"""


def opened(camera: MjpegCamera, **more: object) -> LiveSource:
    source = open_source(SourceSettings.model_validate({"uri": camera.url} | more))
    assert isinstance(source, LiveSource)
    return source


def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        if is_so():
            return True
        time.sleep(0.05)
    return is_so()


def test_an_agent_that_is_killed_leaves_no_decoder() -> None:
    with MjpegCamera() as camera:
        command = [sys.executable, "-c", AGENT, camera.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout
            agent.stdout.readline()
            (decoder,) = decoders(agent.pid)
            agent.kill()
        assert within(5.0, lambda: not Path(f"/proc/{decoder}").exists())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_decoder_that_crashes_is_started_again(how: signal.Signals) -> None:
    with MjpegCamera() as camera, opened(camera) as source:
        frames = iter(source)
        index = next(frames).index
        os.kill(decoders()[0], how)
        assert within(8.0, lambda: source.reopened > 0)
        assert next(frames).index > index, "numbers go on"
        assert next(frames).size_px == (160, 120)
        assert len(decoders()) == 1


def test_a_decoder_that_hangs_is_killed_and_started_again() -> None:
    with MjpegCamera() as camera, opened(camera, stall_timeout_s=1.0) as source:
        frames = iter(source)
        next(frames)
        hung = decoders()[0]
        os.kill(hung, signal.SIGSTOP)
        assert within(15.0, lambda: source.reopened > 0)
        assert not Path(f"/proc/{hung}").exists()
        assert next(frames).size_px == (160, 120)


def test_ctrl_c_and_sigterm_are_the_agents() -> None:
    with MjpegCamera() as camera, opened(camera) as source:
        next(iter(source))
        for signum in (signal.SIGINT, signal.SIGTERM):
            os.kill(decoders()[0], signum)
        time.sleep(0.5)
        assert (source.reopened, len(decoders())) == (0, 1)


def test_who_waits_is_woken_by_a_newer_frame_and_newest_never_waits() -> None:
    woken: list[float] = []
    with MjpegCamera() as camera:
        settings = SourceSettings(uri=camera.url)
        with open_source(settings, on_frame=lambda: woken.append(time.monotonic())) as source:
            assert isinstance(source, LiveSource)
            assert within(5.0, lambda: len(woken) > 10)
            taken = source.newest()
            assert taken
            started_s = time.monotonic()
            for _ in range(100):
                source.newest()
            assert time.monotonic() - started_s < 0.5
    assert source.newest() is None


def test_closing_leaves_no_process_no_descriptor_and_no_thread() -> None:
    with MjpegCamera() as camera:
        opened(camera).close()
        before = _left()
        for _ in range(3):
            opened(camera).close()
        assert within(3.0, lambda: _left() == before)
    assert decoders() == []


def _left() -> tuple[int, int]:
    """(descriptors, segments of shared memory) of this process, but sockets."""
    paths = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    links = [str(path.readlink()) for path in paths]
    return sum("socket" not in link for link in links), sum("memfd" in link for link in links)
