"""A camera that shakes: the shift of the whole picture is found, and nobody is lost by it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support import campus

from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.config.vision_settings import TrackSettings
from edge_reid.core.types import Image
from edge_reid.vision.camera_motion import NO_SHIFT, CameraMotion
from edge_reid.vision.detect import load_detector
from edge_reid.vision.track import Tracker

LOOKS = range(250, 330, 2)
"""Frames of the clip with six to eight people, five a second."""


def moved(image: Image, dx: float, dy: float) -> Image:
    height, width = image.shape[:2]
    way = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(image, way, (width, height), borderMode=cv2.BORDER_REPLICATE)


def way_of(number: int) -> tuple[float, float]:
    """Where a lamp post in the wind has the camera at a frame: 20 px to and fro."""
    return 20 * np.sin(number * 0.44), 10 * np.sin(number * 0.69)


@pytest.mark.parametrize("way", [(6.0, 0.0), (-20.0, 11.0), (60.0, -30.0)])
def test_the_shift_of_the_picture_is_found_while_people_walk(way: tuple[float, float]) -> None:
    frames = campus.read_frames({300, 302})
    motion = CameraMotion()
    assert motion.shift_px(frames[300]) == NO_SHIFT
    assert motion.shift_px(moved(frames[302], *way)) == pytest.approx(way, abs=1.5)


@pytest.mark.parametrize("way", [(6.0, 0.0), (-20.0, 11.0)])
def test_brightness_alone_says_the_same(way: tuple[float, float]) -> None:
    frames = campus.read_frames({300, 302})
    pictures = frames[300], moved(frames[302], *way)
    from_rgb, from_luma = CameraMotion(), CameraMotion()
    for picture in pictures:
        luma = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
        expected = from_rgb.shift_px(picture)
        assert from_luma.shift_px(np.zeros_like(picture), luma) == pytest.approx(expected, abs=0.1)


def test_at_ten_looks_a_second_the_shift_is_right_to_a_fraction_of_a_pixel() -> None:
    """Small turns between two large ones count too; a walker's own step is about five pixels."""
    numbers = range(300, 330)
    frames = campus.read_frames(set(numbers))
    motion, before, errors_px = CameraMotion(), way_of(numbers[0]), []
    for number in numbers:
        way = way_of(number)
        found = motion.shift_px(moved(frames[number], *way))
        errors_px.append(np.hypot(*np.subtract(found, np.subtract(way, before))))
        before = way
    assert np.median(errors_px) < 0.5
    assert np.percentile(errors_px, 90) < 1.0


def test_a_camera_that_shook_and_stands_still_again_stays_where_it_is() -> None:
    frames = campus.read_frames({300, *range(302, 330)})
    motion = CameraMotion()
    motion.shift_px(frames[300])
    assert motion.shift_px(moved(frames[302], 9.0, 4.0)) != NO_SHIFT
    assert motion.shift_px(frames[303]) != NO_SHIFT
    still = [motion.shift_px(frames[number]) for number in range(304, 330)]
    assert set(still[10:]) == {NO_SHIFT}
    assert np.abs(still).max() < 1.0


def test_a_camera_on_a_wall_stays_where_it_is() -> None:
    frames = campus.read_frames(set(LOOKS))
    motion = CameraMotion()
    assert {motion.shift_px(frames[number]) for number in LOOKS} == {NO_SHIFT}


def test_another_picture_and_another_size_are_no_shift() -> None:
    frame = campus.read_frames({300})[300]
    noise = np.random.default_rng(0).integers(0, 256, frame.shape, np.uint8)
    for other in (noise, np.ascontiguousarray(frame[:, :600]), np.zeros_like(frame)):
        motion = CameraMotion()
        motion.shift_px(frame)
        assert motion.shift_px(other) == NO_SHIFT


@pytest.mark.parametrize("height_px", [1, 8, 39])
def test_a_strip_is_looked_at_and_says_nothing(height_px: int) -> None:
    """Two hundred times as wide as high, say: what a stitched panorama may be."""
    motion, strip = CameraMotion(), np.zeros((height_px, 2000, 3), np.uint8)
    strip[:, ::50] = 255
    assert {motion.shift_px(np.roll(strip, 20 * look, axis=1)) for look in range(3)} == {NO_SHIFT}


def test_people_keep_their_numbers_though_the_camera_shakes() -> None:
    """Measured by what comes out of the same clip held still."""
    frames = campus.read_frames(set(LOOKS))
    detector = load_detector(shipped_model(DETECTOR))
    started = {}
    for case, shakes, looks_for_it in (
        ("still", False, True),
        ("shaken", True, True),
        ("shaken, not looked for", True, False),
    ):
        tracker = Tracker(TrackSettings(), strong_score=detector.strong_score)
        motion = CameraMotion()
        for number in LOOKS:
            picture = moved(frames[number], *way_of(number)) if shakes else frames[number]
            shift_px = motion.shift_px(picture) if looks_for_it else NO_SHIFT
            tracker.update(detector.detect(picture), number / campus.FPS, shift_px=shift_px)
        started[case] = tracker.tracks_started
    assert started["shaken"] <= started["still"] + 1
    assert started["shaken, not looked for"] >= 2 * started["still"]


def test_what_was_before_is_forgotten_when_nobody_was_followed() -> None:
    frame = next(iter(campus.read_frames({300}).values()))
    motion = CameraMotion()
    motion.shift_px(frame)
    motion.forget()
    assert motion.shift_px(moved(frame, 20.0, 0.0)) == NO_SHIFT
    assert motion.shift_px(moved(frame, 40.0, 0.0)) == pytest.approx((20.0, 0.0), abs=1.5)
