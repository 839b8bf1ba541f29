"""A small stream that is looked at, and a large one from which crops are cut."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.decoders import decoders
from support.held_resources import held
from support.picture_clock import number_in, numbered
from support.rtsp_camera import FPS, RtspCamera, Unit, encode, noise
from support.twin_streams import TwinStreams

from edge_reid.capture import crop_stream, two_stream_source
from edge_reid.capture.open_source import open_source
from edge_reid.capture.two_stream_source import TwoStreamSource
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.geometry import Box
from edge_reid.core.types import Frame, Image

SMALL_PX, LARGE_PX = (416, 320), (832, 640)
SECONDS = 5
OF_ONE_STREAM = 2
"""Descriptors of shared memory: its own, and that of its mapping."""
CLOCK = Box(0, 0, 384, 160)
"""Where a small picture has its number, and below it something that looks different every time."""


def scene(size_px: tuple[int, int] = SMALL_PX) -> Iterator[Image]:
    """Five seconds, each picture with its number in it."""
    rng = np.random.default_rng(1)
    for picture in numbered(noise(SECONDS * FPS, size_px=SMALL_PX)):
        blocks = rng.integers(20, 235, (8, 24, 1), np.uint8)
        picture[32:160, :384] = blocks.repeat(16, 0).repeat(16, 1)
        yield picture if size_px == SMALL_PX else np.asarray(cv2.resize(picture, size_px), np.uint8)


@pytest.fixture(scope="session")
def small() -> tuple[Unit, ...]:
    return encode(scene())


@pytest.fixture(scope="session")
def large() -> tuple[Unit, ...]:
    return encode(scene(LARGE_PX))


@pytest.fixture
def twins(large: tuple[Unit, ...], small: tuple[Unit, ...]) -> Iterator[TwinStreams]:
    with TwinStreams(large, small) as camera:
        yield camera


def opened(settings: SourceSettings) -> TwoStreamSource:
    source = open_source(settings)
    assert isinstance(source, TwoStreamSource)
    return source


def look_until(
    source: TwoStreamSource,
    is_enough: Callable[[Frame], bool],
    *,
    is_somebody_there: bool = False,
    within_s: float = 40.0,
) -> Frame:
    """Take frames until one is enough."""
    deadline_s = time.monotonic() + within_s

    def idle() -> None:
        assert time.monotonic() < deadline_s, source.streams

    for frame in source.frames(idle):
        if is_somebody_there:
            source.attend()
        if is_enough(frame):
            return frame
        idle()
    raise AssertionError("it has ended")


def await_(is_so: Callable[[], bool], within_s: float = 40.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def one_stream_line(source: TwoStreamSource) -> str:
    """What is said of the one that fails; waited for, as the other may have a fault of its own."""
    lines: list[str] = []

    def is_said(_: Frame) -> bool:
        fault = source.fault
        lines.extend([fault.line] if fault and fault.kind == "one-stream" else [])
        return bool(lines)

    look_until(source, is_said, is_somebody_there=True)
    return lines[0]


def looked_at(source: TwoStreamSource) -> str:
    return source.streams.looked_at


def cut(source: TwoStreamSource, frame: Frame, box: Box = CLOCK) -> Image | None:
    closeup = source.closeup(frame)
    return closeup.cut(box) if closeup else None


def test_the_large_stream_is_read_only_while_somebody_is_there(twins: TwinStreams) -> None:
    with opened(twins.settings(crop_linger_s=1.5)) as source:
        look_until(source, lambda _: source.streams.crop_stream == "open")
        look_until(source, lambda _: source.streams.crop_stream == "closed")
        assert source.streams.opened == 1, "to see at the start that it is there"
        await_(lambda: len(decoders()) == 1)
        connections = twins.large.connections
        frame = look_until(source, lambda frame: frame.index > 60)
        assert frame.size_px == SMALL_PX
        assert cut(source, frame) is None
        assert twins.large.connections == connections, "nobody was there"

        look_until(source, lambda frame: cut(source, frame) is not None, is_somebody_there=True)
        assert source.streams.crop_stream == "open"
        await_(lambda: len(decoders()) == 2)
        look_until(source, lambda _: source.streams.crop_stream == "closed")
        await_(lambda: len(decoders()) == 1)
        assert source.streams.opened == 2
    assert decoders() == []


@pytest.mark.parametrize("late_s", [0.0, 0.05])
def test_a_crop_is_of_the_moment_of_the_frame_that_was_looked_at(
    late_s: float, large: tuple[Unit, ...], small: tuple[Unit, ...]
) -> None:
    """Also when the camera takes longer for the large stream, which no clock tells."""
    pairs: list[tuple[int, int]] = []

    def take(frame: Frame) -> bool:
        time.sleep(0.08)  # so long people are looked for, while pictures go on
        crop = cut(source, frame)
        if crop is not None:
            assert crop.shape == (160 * 2, 384 * 2, 3)
            small_crop = np.asarray(cv2.resize(crop, (384, 160)), np.uint8)
            pairs.append((number_in(frame.image), number_in(small_crop)))
        return len(pairs) == 20

    with TwinStreams(large, small, late_s=late_s) as twins, opened(twins.settings()) as source:
        look_until(source, take, is_somebody_there=True)
    apart = [abs(ours - theirs) for ours, theirs in pairs]
    print(f"pictures apart: {apart}")
    assert max(apart) == 0


@pytest.mark.parametrize("shape", ["squeezed", "sides left out"])
def test_a_small_stream_of_another_shape_is_found_in_the_large_one(
    shape: str, large: tuple[Unit, ...]
) -> None:
    """The small picture is 416×400, the large one 832×640: 1.04 against 1.3."""
    kept = slice(None) if shape == "squeezed" else slice(83, 749)
    narrow = [
        np.asarray(cv2.resize(picture[:, kept], (416, 400)), np.uint8)
        for picture in scene(LARGE_PX)
    ]
    middle = Box(104, 100, 312, 300)
    with TwinStreams(large, encode(narrow)) as camera, opened(camera.settings()) as source:
        frame = look_until(
            source, lambda frame: cut(source, frame, middle) is not None, is_somebody_there=True
        )
        crop = cut(source, frame, middle)
    assert crop is not None
    seen = frame.image[100:300, 104:312].astype(np.float32)
    same = np.asarray(cv2.resize(crop, seen.shape[1::-1]), np.float32)
    assert np.corrcoef(seen.reshape(-1), same.reshape(-1))[0, 1] > 0.9
    wide = 832 / 2 if shape == "squeezed" else 666 / 2
    assert crop.shape[1] == pytest.approx(wide, abs=2)


def test_two_streams_of_two_cameras_are_told_and_no_crop_is_cut(small: tuple[Unit, ...]) -> None:
    elsewhere = encode(noise(SECONDS * FPS, size_px=(640, 480), seed=5))
    with TwinStreams(elsewhere, small) as camera, opened(camera.settings()) as source:

        def is_told(frame: Frame) -> bool:
            assert cut(source, frame) is None
            return source.streams.crop_fault == "streams-differ"

        look_until(source, is_told, is_somebody_there=True)
        assert "check that both are streams of this camera" in one_stream_line(source)


def test_without_the_large_stream_people_are_still_looked_at(twins: TwinStreams) -> None:
    with opened(twins.settings()) as source:
        look_until(source, lambda frame: cut(source, frame) is not None, is_somebody_there=True)
        twins.large.__exit__()
        line = one_stream_line(source)
        assert line.startswith("source.uri: stream rtsp://127.0.0.1")
        assert line.endswith("crops are cut from the pictures of source.detect_uri")
        frame = look_until(source, lambda _: True)
        assert (frame.size_px, looked_at(source)) == (SMALL_PX, "detect")
        assert source.streams.crop_fault is not None


def test_without_the_small_stream_the_large_one_is_looked_at_until_it_is_back(
    twins: TwinStreams, small: tuple[Unit, ...]
) -> None:
    with opened(twins.settings(crop_linger_s=1.0)) as source:
        look_until(source, lambda frame: frame.size_px == SMALL_PX)
        twins.small.__exit__()
        frame = look_until(source, lambda frame: frame.size_px == LARGE_PX)
        assert source.closeup(frame) is None, "it is large itself"
        assert looked_at(source) == "crop"
        assert one_stream_line(source).startswith("source.detect_uri: stream rtsp://127.0.0.1")

        with RtspCamera(lambda _: iter(small * 20), port=twins.small.port):
            look_until(source, lambda frame: frame.size_px == SMALL_PX)
            assert looked_at(source) == "detect"
            look_until(source, lambda _: source.streams.crop_stream == "closed")
            assert source.streams.detect_fault in {None, "damaged"}


def test_who_is_there_from_the_start_is_enough(twins: TwinStreams) -> None:
    nobody = "rtsp://127.0.0.1:9/stream"
    with opened(twins.settings(detect_uri=nobody)) as source:
        assert look_until(source, lambda _: True).size_px == LARGE_PX
    with opened(twins.settings(uri=nobody)) as source:
        look_until(source, lambda _: source.streams.crop_fault == "refused")
    with pytest.raises(SourceError, match="refused the connection"):
        open_source(SourceSettings(uri=nobody, detect_uri="rtsp://127.0.0.1:9/other"))


def test_outside_of_its_hours_neither_stream_is_open(twins: TwinStreams) -> None:
    is_on = threading.Event()
    settings = twins.settings(crop_linger_s=60.0)
    with open_source(settings, is_wanted=is_on.is_set) as source:
        assert isinstance(source, TwoStreamSource)
        source.attend()
        time.sleep(two_stream_source._SILENT_S + 1)
        assert (decoders(), source.fault, source.newest()) == ([], None, None)
        assert twins.large.connections == twins.small.connections == 0

        is_on.set()
        look_until(source, lambda frame: cut(source, frame) is not None, is_somebody_there=True)
        is_on.clear()
        await_(lambda: decoders() == [])
        assert source.closeup(Frame(np.zeros((320, 416, 3), np.uint8), 0, time.time())) is None


def test_one_login_opens_both_and_stays_unsaid(
    large: tuple[Unit, ...], small: tuple[Unit, ...], tmp_path: Path
) -> None:
    login = tmp_path / "gate.login"
    login.write_text("guard:hunter2\n")
    with TwinStreams(large, small, login="guard:hunter2") as camera:
        bare = {
            "uri": camera.large.url.replace("guard:hunter2@", ""),
            "detect_uri": camera.small.url.replace("guard:hunter2@", ""),
            "login_file": login,
        }
        with opened(camera.settings(**bare)) as source:
            look_until(source, lambda frame: cut(source, frame) is not None, is_somebody_there=True)
            login.write_text("guard:hunter3\n")
            camera.large.hang_up()
            look_until(source, lambda _: source.streams.crop_fault == "login")
            assert "hunter" not in one_stream_line(source)


def test_a_decoder_of_the_large_stream_that_dies_is_replaced(twins: TwinStreams) -> None:
    with opened(twins.settings()) as source:
        look_until(source, lambda frame: cut(source, frame) is not None, is_somebody_there=True)
        _, newer = decoders()
        os.kill(newer, signal.SIGKILL)
        look_until(source, lambda _: source.reopened > 0, is_somebody_there=True)
        look_until(source, lambda frame: cut(source, frame) is not None, is_somebody_there=True)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("times", [2, pytest.param(300, marks=pytest.mark.soak)])
def test_people_who_come_and_go_leave_nothing_open(
    times: int, twins: TwinStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crop_stream, "_TURN_S", 0.05)
    gc.collect()  # pictures that tests before this one have left
    others = held().segments
    with opened(twins.settings(crop_linger_s=0.2)) as source:
        for time_ in range(times + 2):
            look_until(
                source, lambda _: source.streams.crop_stream == "open", is_somebody_there=True
            )
            look_until(source, lambda _: source.streams.crop_stream == "closed")
            await_(lambda: held().segments == others + OF_ONE_STREAM and len(decoders()) == 1)
            if time_ == 1:
                before = held()
        after = held()
    print(f"{times} times: {before} → {after}")
    assert after.own_mb - before.own_mb < 5.0
    assert after.descriptors <= before.descriptors
    assert threading.active_count() < 12
    await_(lambda: decoders() == [])
