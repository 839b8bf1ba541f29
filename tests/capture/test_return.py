"""A camera that was away is seen again within five seconds of its return."""

from __future__ import annotations

import itertools
import time

import pytest
from support.rtsp_camera import FPS, RtspCamera, encode, noise

from edge_reid.capture.open_source import open_source
from edge_reid.core.config import SourceSettings

SOONEST_S = 5.0


@pytest.mark.parametrize("away_s", [1.0, 7.0])
def test_a_camera_that_was_switched_off_is_back_soon(away_s: float) -> None:
    units = encode(noise(4 * FPS))
    with RtspCamera(lambda _: itertools.cycle(units)) as first:
        source = open_source(SourceSettings(uri=first.url, stall_timeout_s=10.0))
        last = next(iter(source))
    with source:
        time.sleep(away_s)
        while frame := source.newest():
            last = frame
        assert source.fault
        with RtspCamera(lambda _: itertools.cycle(units), port=first.port):
            returned_s = time.monotonic()
            frame = next(iter(source))
            took_s = time.monotonic() - returned_s
    print(f"away for {away_s:.0f} s, seen {took_s:.1f} s after its return")
    assert frame.index > last.index
    assert took_s < SOONEST_S
