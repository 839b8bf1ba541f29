"""A camera that hangs up again and again: what is opened again leaves nothing behind."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.decoders import decoders
from support.process_tree import holding
from support.rtsp_camera import FPS, RtspCamera, Unit, encode, noise

from edge_reid.capture import reopening
from edge_reid.capture.open_source import open_source
from edge_reid.core.config import SourceSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

WARM_UP = 5
MOST_GROWTH_MB = 5.0


@dataclass(frozen=True)
class Held:
    """What this process holds; without pages of files, which the kernel takes back as it likes."""

    own_mb: float
    rss_mb: float
    descriptors: int
    segments: int
    decoders: int


def held() -> Held:
    memory = holding(os.getpid())
    assert memory is not None
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    ours = [str(link) for link in links if "socket" not in str(link)]  # those are the camera's
    segments = sum("memfd" in link for link in ours)
    return Held(memory.own_mb, memory.rss_mb, len(ours), segments, len(decoders()))


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("times", [8, pytest.param(1000, marks=pytest.mark.soak)])
def test_a_camera_that_hangs_up_again_and_again_costs_nothing(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "FIRST_S", 0.02)
    units = encode(noise(FPS))

    def play(_: int) -> Iterator[Unit]:
        """A few pictures; then nothing, so that the relay hangs up."""
        yield from units[:3]
        camera.hang_up()

    with (
        RtspCamera(play) as camera,
        open_source(SourceSettings(uri=camera.url, stall_timeout_s=2.0)) as source,
    ):
        frames = iter(source)
        while source.reopened < WARM_UP:
            next(frames)
        before = held()
        for _ in itertools.takewhile(lambda _: source.reopened < WARM_UP + times, frames):
            pass
        after = held()
    print(f"{times} times: {after.own_mb - before.own_mb:+.1f} MB; {before} → {after}")
    assert after.own_mb - before.own_mb < MOST_GROWTH_MB
    assert after.descriptors <= before.descriptors + 1, "between two decoders it has two fewer"
    assert after.segments == before.segments
    assert after.decoders <= 1
    assert decoders() == []
