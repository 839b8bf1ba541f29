"""Bytes of a decoder as our RGB: the one conversion and the one copy, of frames that are wanted."""

from __future__ import annotations

import cv2
import numpy as np

from edge_reid.capture.frame_slots import Slot
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image

_LEVELS = np.arange(256)
_LUMA = np.rint(16 + _LEVELS * 219 / 255).astype(np.uint8)
_CHROMA = np.rint(128 + (_LEVELS - 128) * 224 / 255).astype(np.uint8)
"""From levels 0–255 to 16–235 and 16–240, which OpenCV reads."""


def rgb_image(data: memoryview, slot: Slot) -> Image:
    """The picture of a slot as RGB uint8 (H, W, 3), a copy."""
    raw = np.frombuffer(data, np.uint8)
    if slot.layout == "rgb":
        return raw.reshape(slot.height, slot.width, 3).copy()
    if slot.layout == "bgr":
        return to_rgb(raw.reshape(slot.height, slot.width, 3))
    if slot.layout == "i420-full":
        luma = slot.width * slot.height
        raw = np.concatenate([cv2.LUT(raw[:luma], _LUMA), cv2.LUT(raw[luma:], _CHROMA)])
    planes = raw.reshape(slot.height * 3 // 2, slot.width)
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)
