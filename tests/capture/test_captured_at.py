"""When a picture was taken, told to a few hundredths of a second: measured by a clock in it."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from statistics import median

import pytest
from support.decoders import decoders
from support.picture_clock import number_in, numbered
from support.rtsp_camera import FPS, RtspCamera, Unit, encode, noise

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings

SECONDS = 4


@pytest.fixture(scope="module")
def units() -> tuple[Unit, ...]:
    """Ten seconds, each picture with its number in it."""
    return encode(numbered(noise(10 * FPS, size_px=(416, 320))))


def errors_s(camera: RtspCamera, **more: object) -> Iterator[float]:
    """Of `captured_at` against the moment at which the camera had the picture ready."""
    utc_s = time.time() - time.monotonic()
    settings = SourceSettings.model_validate({"uri": camera.url} | more)
    with open_source(settings) as source:
        threading.Timer(SECONDS, source.close).start()
        for frame in source:
            taken_s = camera.started_s + number_in(frame.image) / FPS
            yield frame.captured_utc_s - utc_s - taken_s


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_picture_is_stamped_with_the_time_at_which_it_was_taken(
    units: tuple[Unit, ...], transport: str
) -> None:
    with RtspCamera(lambda _: itertools.cycle(units)) as camera:
        errors = list(errors_s(camera, rtsp_transport=transport))
    assert len(errors) > FPS
    print(f"{transport}: median {median(errors) * 1000:.1f} ms, worst {max(errors) * 1000:.0f} ms")
    assert min(errors) > -0.02
    assert median(errors) < 0.03
    assert max(errors[FPS:]) < 0.1


def test_and_no_less_exactly_when_it_had_to_wait(units: tuple[Unit, ...]) -> None:
    """The decoder stands still for a third of a second, again and again."""
    is_over = threading.Event()

    def hold_up() -> None:
        while not is_over.wait(0.5):
            for decoder in decoders():
                with suppress(ProcessLookupError):  # closed meanwhile
                    os.kill(decoder, signal.SIGSTOP)
                    is_over.wait(0.35)
                    os.kill(decoder, signal.SIGCONT)

    with RtspCamera(lambda _: itertools.cycle(units)) as camera:
        errors = errors_s(camera)
        first = [next(errors)]
        threading.Thread(target=hold_up).start()
        rest = list(itertools.chain(first, itertools.takewhile(lambda _: True, errors)))
        is_over.set()
    print(f"held up: median {median(rest) * 1000:.1f} ms, worst {max(rest) * 1000:.0f} ms")
    assert median(rest) < 0.03
    assert max(rest[FPS:]) < 0.1
