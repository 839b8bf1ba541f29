"""A camera that hangs up again and again: what is opened again leaves nothing behind."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import pytest
from support.decoders import decoders
from support.held_resources import held
from support.rtsp_camera import FPS, RtspCamera, Unit, encode, noise

from edge_reid.capture import reopening
from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

WARM_UP = 5
MOST_GROWTH_MB = 5.0


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
    assert after.descriptors <= before.descriptors + 2, "between two decoders it has two fewer"
    assert after.segments == before.segments
    assert after.decoders <= 1
    assert decoders() == []
