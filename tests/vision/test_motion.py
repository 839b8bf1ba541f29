"""The motion gate: a person is motion, noise and slow light are not."""

import numpy as np
import pytest
from support import campus

from edge_reid.capture.open_source import open_source
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.polygon import Polygon
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


@pytest.mark.parametrize("height_px", [24, 100])
def test_a_person_is_motion_in_brightness_alone(
    height_px: int, random: np.random.Generator
) -> None:
    gate, unseen = MotionGate(), scene(random)
    looks = [gate.moved(unseen, scene(random)[..., 0]) for _ in range(20)]
    assert looks == [True] + [False] * 19
    luma = scene(random)[..., 0]
    luma[150 : 150 + height_px, 200 : 200 + height_px // 3] -= 30
    assert gate.moved(unseen, luma)


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


def gate_with_a_mask(random: np.random.Generator) -> MotionGate:
    """The upper left of the picture is masked, up to 0.503 of its width and 0.497 of its height."""
    gate = MotionGate([Polygon(((0.0, 0.0), (0.503, 0.0), (0.503, 0.497), (0.0, 0.497)))])
    for _ in range(10):
        gate.moved(scene(random))
    return gate


@pytest.mark.parametrize("beyond_px", [-1, 0, 5])
def test_what_moves_in_a_mask_up_to_its_very_edge_is_no_motion(
    beyond_px: int, random: np.random.Generator
) -> None:
    gate = gate_with_a_mask(random)
    picture = scene(random)
    below, right = int(288 * 0.497) + beyond_px, int(384 * 0.503) + beyond_px
    picture[below - 100 : below, right - 100 : right] = 255
    assert gate.moved(picture) == (beyond_px > 0)


def test_who_steps_out_of_a_mask_is_motion(random: np.random.Generator) -> None:
    gate = gate_with_a_mask(random)
    picture = scene(random)
    picture[100:190, 60:90] = 40  # the lower half of whom stands before it
    assert gate.moved(picture)


def test_a_mask_fits_pictures_of_another_size(random: np.random.Generator) -> None:
    gate = gate_with_a_mask(random)
    assert gate.moved(np.full((720, 1280, 3), 110, np.uint8))
    tree = np.full((720, 1280, 3), 110, np.uint8)
    tree[:350, :640] = 255
    assert not gate.moved(tree)


def test_people_on_the_real_clip_are_motion() -> None:
    gate = MotionGate()
    with open_source(SourceSettings(uri=str(campus.CLIP))) as source:
        looks = [gate.moved(frame.image) for frame, _ in zip(source, range(60), strict=False)]
    assert all(looks)
