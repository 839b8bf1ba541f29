"""A part of a picture in shared memory is the same as that part of the whole picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_reid.capture.frame_slots import FrameSlots, Layout, Slot, byte_count
from edge_reid.capture.pixels import PixelRange, grey_part, rgb_image, rgb_part, small_luma

WIDTH, HEIGHT = 38, 26
LAYOUTS: tuple[Layout, ...] = ("i420", "i420-full", "bgr", "rgb")


def picture(layout: Layout) -> tuple[memoryview, Slot]:
    rng = np.random.default_rng(3)
    data = rng.integers(0, 256, byte_count(WIDTH, HEIGHT, layout), np.uint8)
    return memoryview(data.tobytes()), Slot(0, 1, WIDTH, HEIGHT, layout)


@st.composite
def parts(draw: st.DrawFn) -> PixelRange:
    left, top = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    right, bottom = draw(st.integers(left + 1, WIDTH)), draw(st.integers(top + 1, HEIGHT))
    return PixelRange(left, top, right, bottom)


@given(part=parts(), layout=st.sampled_from(LAYOUTS))
@settings(max_examples=200, deadline=None)
def test_a_part_is_that_part_of_the_whole(part: PixelRange, layout: Layout) -> None:
    data, slot = picture(layout)
    cut = rgb_part(data, slot, part)
    whole = rgb_image(data, slot)
    np.testing.assert_array_equal(cut, whole[part.top : part.bottom, part.left : part.right])
    assert cut.base is None or cut.flags.c_contiguous


@pytest.mark.parametrize("layout", LAYOUTS)
def test_brightness_is_of_every_so_many_pixels(layout: Layout) -> None:
    data, slot = picture(layout)
    grey = grey_part(data, slot, PixelRange(0, 0, WIDTH, HEIGHT), step=3)
    assert grey.shape == (9, 13)
    first = np.frombuffer(data, np.uint8)
    expected = first[3] if layout.startswith("i420") else first[3 * 3 + 1]
    assert grey[0, 1] == expected


@pytest.mark.parametrize("layout", ["i420", "i420-full"])
@pytest.mark.parametrize(
    ("size_px", "small_px"),
    [
        ((1920, 1080), (384, 216)),
        ((1280, 720), (426, 240)),
        ((640, 360), (640, 360)),
        ((320, 240), (320, 240)),
        ((3840, 2), (1920, 1)),
    ],
)
def test_small_brightness_is_that_of_the_colours(
    layout: Layout, size_px: tuple[int, int], small_px: tuple[int, int]
) -> None:
    width, height = size_px
    steps = np.add.outer(np.linspace(16, 120, height), np.linspace(0, 115, width))
    colours = np.full(byte_count(width, height, layout) - steps.size, 128)
    data = memoryview(np.concatenate([steps.ravel(), colours]).astype(np.uint8).tobytes())
    slot = Slot(0, 1, width, height, layout)
    luma = small_luma(data, slot)
    assert luma is not None
    assert luma.shape[::-1] == small_px
    grey = cv2.cvtColor(rgb_image(data, slot), cv2.COLOR_RGB2GRAY)
    expected = cv2.resize(grey, small_px, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(luma.astype(float), expected, atol=2)


@pytest.mark.parametrize("layout", ["rgb", "bgr"])
def test_there_is_no_small_brightness_where_it_is_not_kept_by_itself(layout: Layout) -> None:
    assert small_luma(*picture(layout)) is None


def test_more_slots_keep_older_pictures_and_both_sides_count_them() -> None:
    ours = FrameSlots(count=6)
    theirs = FrameSlots(ours.descriptor)
    rows = [memoryview(bytes(byte_count(4, 4, "rgb")))]
    written = [theirs.write(rows, 4, 4, "rgb") for _ in range(10)]
    held = [ours.holds(slot) for slot in written]
    assert held == [False] * 4 + [True] * 6
    ours.close()


def test_a_slot_that_is_not_there_holds_nothing() -> None:
    """A decoder that was taken over may name any."""
    slots = FrameSlots()
    beyond = Slot(7, 0, 4, 4, "rgb")
    beyond.check()
    assert not slots.holds(beyond)
    with slots.reading(beyond) as data:
        assert data is None
    with pytest.raises(ValueError, match="expected a picture"):
        Slot(8, 0, 4, 4, "rgb").check()
    slots.close()
