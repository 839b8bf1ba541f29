"""Colour casts of crops, taken out in part."""

import numpy as np
import pytest

from edge_reid.vision.grey_world import balanced, balanced_batch


def street(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 120, (96, 48, 3)).astype(np.uint8)


def under(light: tuple[float, float, float], crop: np.ndarray) -> np.ndarray:
    return np.rint(crop * np.array(light)).astype(np.uint8)


def means(crop: np.ndarray) -> np.ndarray:
    return crop.reshape(-1, 3).mean(axis=0)


def test_a_share_of_one_makes_the_means_of_all_channels_equal() -> None:
    bluish = under((0.8, 1.0, 1.5), street())
    np.testing.assert_allclose(means(balanced(bluish, 1.0)), means(bluish).mean(), rtol=0.005)


def test_half_undoes_half_of_the_cast_as_a_ratio() -> None:
    bluish = under((0.8, 1.0, 1.5), street())
    red, _, blue = means(bluish)
    left_red, _, left_blue = means(balanced(bluish, 0.5))
    assert left_blue / left_red == pytest.approx((blue / red) ** 0.5, rel=0.01)


def test_one_coat_in_two_lights_comes_closer() -> None:
    coat = street()
    two = [under(light, coat) for light in ((0.8, 1.0, 1.3), (1.2, 1.0, 0.7))]
    apart = np.abs(np.subtract(*[crop.astype(float) for crop in two])).mean()
    left = np.abs(np.subtract(*[balanced(crop, 0.5).astype(float) for crop in two])).mean()
    assert left < 0.6 * apart


def test_nothing_is_changed_without_a_share() -> None:
    crops = street()[np.newaxis]
    assert balanced_batch(crops, 0.0) is crops
    np.testing.assert_array_equal(balanced(crops[0], 0.0), crops[0])


def test_each_crop_of_a_batch_by_its_own_means() -> None:
    crops = np.stack([under((1.5, 1, 1), street(1)), under((1, 1, 1.5), street(2))])
    for crop, result in zip(crops, balanced_batch(crops, 0.5), strict=True):
        np.testing.assert_array_equal(result, balanced(crop, 0.5))


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_stay_what_they_are(value: int) -> None:
    flat = np.full((96, 48, 3), value, np.uint8)
    np.testing.assert_array_equal(balanced(flat, 1.0), flat)


def test_what_is_too_bright_is_cut_off_not_wrapped_round() -> None:
    crop = np.zeros((96, 48, 3), np.uint8)
    crop[:48] = (255, 255, 255)
    crop[48:] = (255, 0, 0)
    assert balanced(crop, 1.0)[:48, :, 1:].min() == 255


def test_strips_of_a_frame_are_taken_as_they_are() -> None:
    frame = street()
    view = frame[10:90:2, ::-1]
    np.testing.assert_array_equal(balanced(view, 0.5), balanced(view.copy(), 0.5))
