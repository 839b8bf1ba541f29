"""Bytes of a decoder as our RGB: the one conversion and the one copy, of what is wanted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.capture.frame_slots import Slot
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image, Luma

_LEVELS = np.arange(256)
_LUMA = np.rint(16 + _LEVELS * 219 / 255).astype(np.uint8)
_CHROMA = np.rint(128 + (_LEVELS - 128) * 224 / 255).astype(np.uint8)
"""From levels 0–255 to 16–235 and 16–240, which OpenCV reads."""

_FULL_LUMA = np.rint((_LEVELS - 16) * 255 / 219).clip(0, 255).astype(np.uint8)
"""And back."""
_LEAST_LUMA_WIDTH_PX = 384
"""Of the small picture: as much as is looked at when motion is looked for."""

_Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PixelRange:
    """Whole pixels of a picture, half-open: columns `left` to `right`, rows `top` to `bottom`."""

    left: int
    top: int
    right: int
    bottom: int


def rgb_image(data: memoryview, slot: Slot) -> Image:
    """The picture of a slot as RGB uint8 (H, W, 3), a copy."""
    raw = np.frombuffer(data, np.uint8)
    if slot.layout == "rgb":
        return raw.reshape(slot.height, slot.width, 3).copy()
    if slot.layout == "bgr":
        return to_rgb(raw.reshape(slot.height, slot.width, 3))
    return _rgb_of_planes(raw, slot)


def small_luma(data: memoryview, slot: Slot) -> Luma | None:
    """The brightness of the picture of a slot, a copy; None where it is not kept by itself.

    A wide one is made smaller by a whole number, which OpenCV does several times as fast as by any
    other, but not below 384 px.
    """
    if slot.layout in {"rgb", "bgr"}:
        return None
    luma = np.frombuffer(data, np.uint8)[: slot.width * slot.height]
    shrink = max(1, min(slot.width // _LEAST_LUMA_WIDTH_PX, slot.height))
    width, height = slot.width // shrink, slot.height // shrink
    plane = luma.reshape(slot.height, slot.width)[: height * shrink, : width * shrink]
    small = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small if slot.layout == "i420-full" else cv2.LUT(small, _FULL_LUMA), np.uint8)


def rgb_part(data: memoryview, slot: Slot, part: PixelRange) -> Image:
    """A part of the picture of a slot as RGB uint8, a copy; the rest is not touched.

    Args:
        data: all bytes of the picture.
        slot: what they are.
        part: inside the picture, one pixel at least.
    """
    raw = np.frombuffer(data, np.uint8)
    if slot.layout in {"rgb", "bgr"}:
        pixels = raw.reshape(slot.height, slot.width, 3)
        cut = np.ascontiguousarray(pixels[part.top : part.bottom, part.left : part.right])
        return cut if slot.layout == "rgb" else to_rgb(cut)
    even = _on_even_pixels(part)
    width, height = even.right - even.left, even.bottom - even.top
    pieces = np.concatenate([plane.reshape(-1) for plane in _parts(raw, slot, even)])
    small = Slot(slot.number, slot.sequence, width, height, slot.layout)
    rows, columns = part.top - even.top, part.left - even.left
    image = _rgb_of_planes(pieces, small)
    whole = image[rows : rows + part.bottom - part.top, columns : columns + part.right - part.left]
    return np.ascontiguousarray(whole)


def grey_part(data: memoryview, slot: Slot, part: PixelRange, step: int = 1) -> _Plane:
    """Brightness of every `step`th pixel of every `step`th row of a part, uint8 (h, w), a copy."""
    raw = np.frombuffer(data, np.uint8)
    if slot.layout in {"rgb", "bgr"}:
        plane = raw.reshape(slot.height, slot.width, 3)[..., 1]
    else:
        plane = raw[: slot.width * slot.height].reshape(slot.height, slot.width)
    return plane[part.top : part.bottom : step, part.left : part.right : step].copy()


def _rgb_of_planes(raw: _Plane, slot: Slot) -> Image:
    """Planes Y, U, V without gaps as RGB."""
    if slot.layout == "i420-full":
        luma = slot.width * slot.height
        raw = np.concatenate([cv2.LUT(raw[:luma], _LUMA), cv2.LUT(raw[luma:], _CHROMA)])
    planes = raw.reshape(slot.height * 3 // 2, slot.width)
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _on_even_pixels(part: PixelRange) -> PixelRange:
    """The part with the neighbours that share its colours: planes U and V have half the pixels."""
    return PixelRange(
        part.left & ~1, part.top & ~1, part.right + part.right % 2, part.bottom + part.bottom % 2
    )


def _parts(raw: _Plane, slot: Slot, even: PixelRange) -> tuple[_Plane, _Plane, _Plane]:
    """Of the planes Y, U and V."""
    luma, width, height = slot.width * slot.height, slot.width // 2, slot.height // 2
    rows, columns = slice(even.top // 2, even.bottom // 2), slice(even.left // 2, even.right // 2)
    bright = raw[:luma].reshape(slot.height, slot.width)
    blue, red = raw[luma:].reshape(2, height, width)
    return (
        bright[even.top : even.bottom, even.left : even.right],
        blue[rows, columns],
        red[rows, columns],
    )
