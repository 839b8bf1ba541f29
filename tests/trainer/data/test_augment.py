"""Random changes of training crops, each seen on a picture that shows it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.augment import augment
from trainer.recipe.augment_settings import CCTV, PRESETS, AugmentConfig

OFF = AugmentConfig(flip=0, shift=0, erase=0, contrast=0, brightness=0)


def person() -> np.ndarray:
    """A red coat left, blue trousers below, on grey: no two sides alike. (64, 32, 3)."""
    image = np.full((64, 32, 3), 128, np.uint8)
    image[10:34, 6:18] = [200, 40, 40]
    image[34:60, 10:22] = [30, 60, 190]
    return image


def changed(count: int = 8, seed: int = 0, **settings_: object) -> np.ndarray:
    config = OFF.model_copy(update=settings_)
    return augment(np.stack([person()] * count), config, np.random.default_rng(seed))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), preset=st.sampled_from(sorted(PRESETS)))
def test_the_generator_alone_fixes_what_happens(seed: int, preset: str) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (4, 33, 17, 3), np.uint8)
    twice = [augment(crops, PRESETS[preset], np.random.default_rng(seed)) for _ in range(2)]
    assert np.array_equal(*twice)
    assert twice[0].shape == crops.shape
    assert not np.array_equal(twice[0], crops)


def test_all_of_it_can_be_switched_off() -> None:
    assert np.array_equal(changed(), np.stack([person()] * 8))


def test_the_picture_given_is_left_as_it_is() -> None:
    crops = np.stack([person()] * 8)
    augment(crops, CCTV, np.random.default_rng(0))
    assert np.array_equal(crops, np.stack([person()] * 8))


def test_flip_mirrors() -> None:
    assert np.array_equal(changed(1, flip=1.0)[0], person()[:, ::-1])


def test_shift_moves_by_whole_pixels_and_repeats_the_border() -> None:
    """At most 4 of 64 rows and 2 of 32 columns, so that the person stays whole."""
    seen = set()
    for image in changed(shift=0.06):
        red = np.argwhere((image == [200, 40, 40]).all(axis=2))
        assert len(red) == 24 * 12
        dy, dx = red.min(axis=0) - [10, 6]
        assert abs(dy) <= 4
        assert abs(dx) <= 2
        assert np.array_equal(np.roll(person(), (dy, dx), axis=(0, 1)), image)  # the rim is grey
        seen.add((int(dy), int(dx)))
    assert len(seen) > 4


@pytest.mark.parametrize(
    "movement", [{"rotation_degrees": 20.0}, {"scale": 0.3}, {"aspect": 0.4}, {"perspective": 0.1}]
)
def test_geometry_moves_the_edges_and_keeps_the_colours(movement: dict[str, float]) -> None:
    for image in changed(**movement):
        assert not np.array_equal(image, person())
        # The middle of the coat is still the coat.
        assert np.abs(image[26, 13].astype(int) - [200, 40, 40]).max() < 8


def test_rotation_turns_about_the_middle_by_at_most_its_limit() -> None:
    bar = np.zeros((65, 65, 3), np.uint8)
    bar[:, 32] = 255
    config = OFF.model_copy(update={"rotation_degrees": 10.0})
    for image in augment(np.stack([bar] * 8), config, np.random.default_rng(1)):
        top = image[0, :, 0].argmax() - 32
        assert abs(top) <= 32 * np.tan(np.radians(10.0)) + 1
        assert image[32, 32, 0] > 100


def test_light_changes_grey_by_brightness_and_contrast() -> None:
    for image in changed(brightness=0.1, contrast=0.2):
        grey, red = image[0, 0].astype(float), image[20, 10].astype(float)
        assert abs(grey[0] - 128) <= 0.1 * 255 + 1
        gain = (red[0] - grey[0]) / (200 - 128)
        assert 0.78 <= gain <= 1.22


def test_saturation_and_hue_leave_grey_and_about_the_brightness_alone() -> None:
    for image in changed(saturation=0.5, hue_degrees=30.0):
        assert np.abs(image[0, 0].astype(int) - 128).max() <= 1
        assert not np.array_equal(image[20, 10], [200, 40, 40])


def test_white_balance_multiplies_each_channel_by_itself() -> None:
    gains = np.array([image[0, 0] / 128 for image in changed(white_balance=0.2)])
    assert np.abs(gains - 1).max() <= 0.21
    assert (np.ptp(gains, axis=1) > 0.01).all(), "the channels differ"


def test_blending_lets_another_picture_shine_through_up_to_half() -> None:
    levels = np.array([0, 50, 100, 200], np.uint8)
    given_ = np.broadcast_to(levels[:, None, None, None], (4, 64, 32, 3))
    draws = [
        augment(given_, OFF.model_copy(update={"blend": 0.5}), np.random.default_rng(seed))[
            :, 0, 0, 0
        ]
        for seed in range(20)
    ]
    shares = {
        (round(float(level)), round(float(seen)))
        for draw in draws
        for level, seen in zip(levels, draw, strict=True)
    }
    assert any(level == seen for level, seen in shares), "some are left as they are"
    assert any(level != seen for level, seen in shares)
    for level, seen in shares:
        assert min((level + other) / 2 for other in levels) - 1 <= seen
        assert seen <= max((level + float(other)) / 2 for other in levels) + 1


def test_a_backdrop_is_another_picture_s_and_the_person_stays() -> None:
    """Of three even pictures: the middle keeps its level, the corners take that of one other."""
    levels = np.array([20, 120, 220], np.uint8)
    given_ = np.broadcast_to(levels[:, None, None, None], (3, 64, 32, 3))
    behind = set()
    for seed in range(20):
        seen = augment(
            given_, OFF.model_copy(update={"backdrop": 1.0}), np.random.default_rng(seed)
        )
        assert np.array_equal(seen[:, 32, 16, 0], levels)
        corners = seen[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
        assert (np.ptp(corners, axis=1) == 0).all()
        assert set(corners[:, 0]) == set(levels), "every picture lends its own to one"
        behind |= set(zip(levels, corners[:, 0], strict=True))
        width = (np.abs(seen[:, 32, :, 0].astype(int) - levels[:, None]) <= 1).mean(axis=1)
        lent = corners[:, 0] != levels
        assert ((width[lent] > 0.4) & (width[lent] <= 1.0)).all()
    assert len(behind) == 9


def test_restyle_moves_mean_and_spread_of_each_channel_towards_another_picture() -> None:
    """Two pictures of noise, dark blue and bright red: each becomes more as the other is."""
    rng = np.random.default_rng(3)
    dark = np.clip(rng.normal([30, 40, 120], 10, (64, 32, 3)), 0, 255).astype(np.uint8)
    bright = np.clip(rng.normal([190, 90, 60], 14, (64, 32, 3)), 0, 255).astype(np.uint8)
    given_ = np.stack([dark, bright] * 4)
    seen = augment(given_, OFF.model_copy(update={"restyle": 1.0}), np.random.default_rng(0))
    ends = np.stack([dark, bright]).mean(axis=(1, 2))
    moved = [
        (image.mean(axis=(0, 1)) - ends[index % 2]) / (ends[1 - index % 2] - ends[index % 2])
        for index, image in enumerate(seen)
    ]
    for share in moved:
        assert np.ptp(share) < 0.1, "all channels by the same part of the way"
        assert -0.05 <= share.mean() <= 1.05
    assert max(share.mean() for share in moved) > 0.3


def test_hue_turns_the_colour_circle() -> None:
    """By 120° either way red, green and blue change places."""
    red = np.zeros((40, 8, 8, 3), np.uint8)
    red[..., 0] = 90
    turned = augment(red, OFF.model_copy(update={"hue_degrees": 120.0}), np.random.default_rng(0))
    assert {int(image[0, 0].argmax()) for image in turned} == {0, 1, 2}
    assert np.abs(turned.sum(axis=3).astype(int) - 90).max() <= 45  # dark parts cannot go below 0


def test_grey_takes_all_colour_away() -> None:
    image = changed(1, grey=1.0)[0].astype(int)
    assert np.abs(image - image[..., :1]).max() <= 1
    expected = cv2.cvtColor(person(), cv2.COLOR_RGB2GRAY)
    assert np.abs(image[..., 0] - expected).max() <= 1


@pytest.mark.parametrize("poor", ["blur", "shrink", "jpeg"])
def test_a_poor_camera_loses_detail_and_keeps_the_colours(poor: str) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), np.uint8)
    worse = augment(crops, OFF.model_copy(update={poor: 1.0}), np.random.default_rng(0))
    detail = [np.abs(np.diff(c.astype(int), axis=2)).mean() for c in (crops, worse)]
    assert detail[1] < 0.98 * detail[0]
    means = [c.mean(axis=(1, 2)) for c in (crops, worse)]
    assert np.abs(means[0] - means[1]).max() < 6
    coat = changed(**{poor: 1.0})[:, 22, 12].astype(int)
    assert np.abs(coat - [200, 40, 40]).max() < 30


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_erasing_hides_one_rectangle_of_the_stated_size(seed: int) -> None:
    image = changed(1, seed, erase=1.0, erase_area=(0.05, 0.2))[0]
    rows, columns = np.nonzero((image != person()).any(axis=2))
    area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) / (64 * 32)
    assert 0.02 <= area <= 0.21


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="flipp"):
        AugmentConfig.model_validate({"flipp": 0.5})
    with pytest.raises(ValueError, match="less than or equal to 1"):
        AugmentConfig(erase=2.0)
