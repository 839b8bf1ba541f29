"""The one preprocessing, pinned: its numbers are recomputed here by hand and by checksum."""

import hashlib

import numpy as np
import pytest

from edge_reid.core.errors import PhotoError
from edge_reid.vision.preprocess import letterbox, to_input


def golden(height: int, width: int) -> np.ndarray:
    """A picture of gradients and stripes; whole numbers only, so it is the same everywhere."""
    y, x = np.mgrid[:height, :width]
    planes = (x * 7 + y) % 256, (y * 5) % 256, (x // 4 + y // 6) % 2 * 255
    return np.stack(planes, axis=2).astype(np.uint8)


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Textbook bilinear with pixel centres at halves, edges repeated."""

    def places(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    top, bottom, down = places(image.shape[0], height)
    left, right, along = places(image.shape[1], width)
    down, along = down[:, None, None], along[None, :, None]
    upper = image[top][:, left] * (1 - along) + image[top][:, right] * along
    lower = image[bottom][:, left] * (1 - along) + image[bottom][:, right] * along
    return upper * (1 - down) + lower * down


def test_the_golden_image() -> None:
    """If this fails, embeddings of old galleries no longer compare with new ones."""
    tensor = to_input(golden(150, 70), 192, 96)
    digest = hashlib.sha256(tensor.tobytes()).hexdigest()
    assert (tensor.shape, tensor.dtype) == ((1, 192, 96, 3), np.uint8)
    assert digest == "0cc328096cd98c273aa988efbcffd30c35aee07e0c1ca03dbdfa173ece939cbb"


@pytest.mark.parametrize("size", [(150, 70), (260, 110), (384, 192), (80, 200)])
def test_crops_are_stretched_bilinearly(size: tuple[int, int]) -> None:
    image = golden(*size)
    assert np.abs(to_input(image, 192, 96)[0] - bilinear(image, 192, 96)).max() <= 1


def test_large_crops_are_averaged() -> None:
    image = golden(192 * 3, 96 * 4)
    means = image.reshape(192, 3, 96, 4, 3).mean(axis=(1, 3))
    assert np.abs(to_input(image, 192, 96)[0] - means).max() <= 0.5001


def test_a_crop_of_the_right_size_is_not_touched() -> None:
    image = golden(192, 96)
    np.testing.assert_array_equal(to_input(image, 192, 96)[0], image)


def test_a_view_into_a_frame_is_as_good_as_a_copy() -> None:
    view = golden(400, 300)[100:250, 40:110, ::-1]
    np.testing.assert_array_equal(to_input(view, 192, 96), to_input(view.copy(), 192, 96))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((10, 0, 3), np.uint8),
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
    ],
)
def test_what_is_not_a_picture_with_pixels_is_refused(image: np.ndarray) -> None:
    with pytest.raises(PhotoError, match="expected an RGB picture"):
        to_input(image, 192, 96)
    with pytest.raises(PhotoError, match="expected an RGB picture"):
        letterbox(image, 288, 512, 114)


@pytest.mark.parametrize(
    ("frame", "filled"),
    [((576, 768), (288, 384)), ((1080, 1920), (288, 512)), ((100, 1000), (51, 512))],
)
def test_letterboxing_keeps_the_shape_of_things(
    frame: tuple[int, int], filled: tuple[int, int]
) -> None:
    boxed = letterbox(np.full((*frame, 3), 200, np.uint8), 288, 512, pad_value=114)

    assert boxed.canvas.shape == (288, 512, 3)
    assert boxed.scale == min(288 / frame[0], 512 / frame[1])
    height, width = filled
    assert (boxed.canvas[:height, :width] == 200).all()
    assert (boxed.canvas[height:] == 114).all()
    assert (boxed.canvas[:, width:] == 114).all()


def test_a_point_of_the_frame_is_found_on_the_canvas() -> None:
    frame = np.zeros((576, 768, 3), np.uint8)
    frame[400:420, 600:630] = 255
    boxed = letterbox(frame, 288, 512, pad_value=0)
    rows, columns = np.nonzero(boxed.canvas[..., 0] > 127)
    assert rows.min() / boxed.scale == pytest.approx(400, abs=2)
    assert (columns.max() + 1) / boxed.scale == pytest.approx(630, abs=2)
