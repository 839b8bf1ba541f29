"""How pictures become input tensors. Defined here once, for the agent, evaluation and training.

Values stay pixels, 0..255: normalisation is inside every graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.errors import PhotoError
from edge_reid.core.types import Image

BILINEAR_REACH = 2
"""Bilinear looks at two pixels a side: shrunk beyond 1 : 2, a picture has pixels it never sees."""


@dataclass(frozen=True, slots=True, eq=False)
class Letterboxed:
    """A picture scaled into the top-left corner of a grey canvas, its shape kept."""

    canvas: Image
    """(height_px, width_px, 3) uint8."""
    scale: float
    """Canvas pixels per picture pixel: picture coordinate = canvas coordinate / scale."""


def to_input(image: Image, height_px: int, width_px: int) -> NDArray[np.uint8]:
    """A person crop as the input of an embedding model: stretched to size, (1, H, W, 3) uint8 RGB.

    Bilinear in OpenCV's bit-exact form, so that device and workstation agree; area averaging when a
    side shrinks beyond what bilinear sees.

    Raises:
        PhotoError: the image is empty or not RGB uint8 (H, W, 3).
    """
    _check(image)
    down = image.shape[0] / height_px, image.shape[1] / width_px
    # OpenCV averages areas only where neither side grows.
    averages = max(down) > BILINEAR_REACH and min(down) >= 1
    method = cv2.INTER_AREA if averages else cv2.INTER_LINEAR_EXACT
    resized = cv2.resize(image, (width_px, height_px), interpolation=method)
    return np.asarray(resized, np.uint8)[np.newaxis]


def stretch(image: Image, height_px: int, width_px: int) -> Image:
    """A frame as the input (height_px, width_px, 3) of a detector that wants it without a border.

    Bilinear whatever the scale, as detectors are trained; averaging a 1080p frame takes 11 ms.

    Raises:
        PhotoError: the image is empty or not RGB uint8 (H, W, 3).
    """
    _check(image)
    resized = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def letterbox(image: Image, height_px: int, width_px: int, pad_value: int) -> Letterboxed:
    """A frame on a detector's canvas: scaled to fit, top-left, the rest grey `pad_value`.

    Bilinear whatever the scale, as detectors are trained; averaging a 1080p frame takes 11 ms.

    Raises:
        PhotoError: the image is empty or not RGB uint8 (H, W, 3).
    """
    _check(image)
    height, width = image.shape[:2]
    scale = min(height_px / height, width_px / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((height_px, width_px, 3), pad_value, np.uint8)
    corner = canvas[: size[1], : size[0]]
    corner[:] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return Letterboxed(canvas, scale)


def _check(image: Image) -> None:
    is_rgb = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8  # noqa: PLR2004
    if not is_rgb or image.size == 0:
        came = f"{image.dtype} {image.shape}"
        raise PhotoError(
            f"expected an RGB picture, uint8 (height, width, 3) with pixels, got {came}"
        )
