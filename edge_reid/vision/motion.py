"""Whether anything moves: a look so cheap that the detector may rest while nothing does."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.polygon import Polygon
from edge_reid.core.types import Image, Luma

_WIDTH_PX = 160
_GREY_LEVELS = 14
"""A pixel that differs so much from the background has changed; sensor noise stays below."""
_CHANGED_SHARE = 0.0005
"""Of all pixels: ten at 160 by 120, a fifth of a person who is 48 of 576 px tall."""
_LEARNING_RATE = 0.2
"""Of the background, per look: what left or stopped is forgotten after some five looks, and light
that changes slowly is never motion."""

_FINE = 8
"""By so much a pixel is divided to find out whether a mask touches it."""


class MotionGate:
    """Compares each picture, shrunk and grey, with a running average of those before.

    Args:
        ignored: areas in which nothing counts as motion, whatever moves there.
    """

    def __init__(self, ignored: Sequence[Polygon] = ()) -> None:
        self._ignored = ignored
        self._covered: NDArray[np.bool_] | None = None
        self._background: NDArray[np.float32] | None = None

    def moved(self, image: Image, luma: Luma | None = None) -> bool:
        """Whether the picture changed; True for the first one and when the size changes.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            luma: its brightness, of any size, if that is at hand.
        """
        small = self._smoothed(_small_grey(image, luma))
        if self._background is None or self._background.shape != small.shape:
            self._background = small
            return True
        changed = np.count_nonzero(cv2.absdiff(small, self._background) > _GREY_LEVELS)
        cv2.accumulateWeighted(small, self._background, _LEARNING_RATE)
        return bool(changed > _CHANGED_SHARE * small.size)

    def _smoothed(self, small: Luma) -> NDArray[np.float32]:
        """Without noise, and black in the areas that are ignored: made so before the blur, which
        would carry motion over their edges.
        """
        if self._ignored:
            if self._covered is None or self._covered.shape != small.shape:
                self._covered = _covered(self._ignored, small.shape)
            small[self._covered] = 0
        return np.asarray(cv2.GaussianBlur(small, (3, 3), 0), np.float32)


def _small_grey(image: Image, luma: Luma | None) -> Luma:
    height, width = image.shape[:2]
    size_px = (_WIDTH_PX, max(1, round(_WIDTH_PX * height / width)))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if luma is None else luma
    return np.asarray(cv2.resize(grey, size_px, interpolation=cv2.INTER_AREA), np.uint8)


def _covered(areas: Sequence[Polygon], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels of a picture of this (height, width) that areas cover, if only in part."""
    height, width = shape
    fine = np.zeros((height * _FINE, width * _FINE), np.uint8)
    for area in areas:
        corners = np.array(area.corners) * (width * _FINE, height * _FINE)
        cv2.fillPoly(fine, [np.floor(corners).astype(np.int32)], 1)
    return np.asarray(fine.reshape(height, _FINE, width, _FINE).any(axis=(1, 3)), np.bool_)
