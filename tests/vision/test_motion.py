"""The motion gate: a person is motion, noise and slow light are not."""

import numpy as np
import pytest
from support import campus

from edge_reid.capture.open_source import open_source
from edge_reid.core.config import SourceSettings
from edge_reid.core.types import Image
from edge_reid.vision.motion import MotionGate

SIZE = (288, 384, 3)


def scene(random: np.random.Generator, level: float = 110.0, noise: float = 4.0) -> Image:
    """A grey wall as a noisy sensor sees it."""
    return (level + random.normal(0, noise, SIZE)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def settled(random: np.random.Generator) -> MotionGate:
    """A gate that has looked at an empty scene for a while."""
    gate = MotionGate()
    for _ in range(10):
        gate.moved(scene(random))
    return gate


def test_the_first_frame_counts_as_motion(random: np.random.Generator) -> None:
    assert MotionGate().moved(scene(random))


def test_sensor_noise_is_no_motion(settled: MotionGate, random: np.random.Generator) -> None:
    assert not any(settled.moved(scene(random)) for _ in range(30))


def test_evening_is_no_motion(settled: MotionGate, random: np.random.Generator) -> None:
    """Half a grey level a look, five looks a second: dark within a minute."""
    assert not any(settled.moved(scene(random, 110 - 0.5 * look)) for look in range(150))


@pytest.mark.parametrize("height_px", [24, 100])
def test_a_person_is_motion(
    height_px: int, settled: MotionGate, random: np.random.Generator
) -> None:
    picture = scene(random)
    picture[150 : 150 + height_px, 200 : 200 + height_px // 3] -= 30
    assert settled.moved(picture)


def test_who_stands_still_becomes_background(
    settled: MotionGate, random: np.random.Generator
) -> None:
    """The gate only rests the detector while nobody is tracked, so this costs nothing."""
    looks = []
    for _ in range(100):
        picture = scene(random)
        picture[150:200, 200:220] -= 60
        looks.append(settled.moved(picture))
    assert looks[0]
    assert not looks[-1]


def test_a_camera_that_changes_its_size_starts_anew(settled: MotionGate) -> None:
    assert settled.moved(np.full((720, 1280, 3), 110, np.uint8))


def test_people_on_the_real_clip_are_motion() -> None:
    gate = MotionGate()
    with open_source(SourceSettings(uri=str(campus.CLIP))) as source:
        looks = [gate.moved(frame.image) for frame, _ in zip(source, range(60), strict=False)]
    assert all(looks)
