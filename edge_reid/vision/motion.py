"""Whether anything moves: a look so cheap that the detector may rest while nothing does."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.types import Image

_WIDTH_PX = 160
_GREY_LEVELS = 14
"""A pixel that differs so much from the background has changed; sensor noise stays below."""
_CHANGED_SHARE = 0.0005
"""Of all pixels: ten at 160 by 120, a fifth of a person who is 48 of 576 px tall."""
_LEARNING_RATE = 0.2
"""Of the background, per look: what left or stopped is forgotten after some five looks, and light
that changes slowly is never motion."""


class MotionGate:
    """Compares each picture, shrunk and grey, with a running average of those before."""

    def __init__(self) -> None:
        self._background: NDArray[np.float32] | None = None

    def moved(self, image: Image) -> bool:
        """Whether the picture changed; True for the first one and when the size changes."""
        small = _small_grey(image)
        if self._background is None or self._background.shape != small.shape:
            self._background = small
            return True
        changed = np.count_nonzero(cv2.absdiff(small, self._background) > _GREY_LEVELS)
        cv2.accumulateWeighted(small, self._background, _LEARNING_RATE)
        return bool(changed > _CHANGED_SHARE * small.size)


def _small_grey(image: Image) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    size_px = (_WIDTH_PX, max(1, round(_WIDTH_PX * height / width)))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, size_px, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (3, 3), 0), np.float32)
