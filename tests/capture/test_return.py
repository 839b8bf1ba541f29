"""A camera that was away is seen again within five seconds of its return."""

from __future__ import annotations

import itertools
import time

from support.rtsp_camera import FPS, RtspCamera, encode, noise

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings

AWAY_S, SOONEST_S = 4.0, 5.0


def test_a_camera_that_was_switched_off_is_back_soon() -> None:
    units = encode(noise(4 * FPS))
    with RtspCamera(lambda _: itertools.cycle(units)) as first:
        source = open_source(SourceSettings(uri=first.url, stall_timeout_s=10.0))
        last = next(iter(source))
    with source:
        time.sleep(AWAY_S)
        while frame := source.newest():
            last = frame
        assert source.fault
        with RtspCamera(lambda _: itertools.cycle(units), port=first.port):
            returned_s = time.monotonic()
            frame = next(iter(source))
            took_s = time.monotonic() - returned_s
    print(f"away for {AWAY_S:.0f} s, seen {took_s:.1f} s after its return")
    assert frame.index > last.index
    assert took_s < SOONEST_S
