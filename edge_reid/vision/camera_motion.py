"""How far the whole picture has moved: a camera that shakes in the wind, or is panned.

Two looks, small, grey and tapered towards their edges, are compared by phase correlation (Kuglin,
Hines 1975): what stands still in the world has one shift everywhere, people who walk have others.
Only shifts are found, no rotation and no zoom.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.types import Image

_WIDTH_PX = 384
_LEAST_SHIFT = 0.003
"""Of the picture's width: less is noise, and a camera on a wall stays exactly where it is."""
_LEAST_RESPONSE = 0.1
"""Share of the correlation that lies in the peak; below it the two have little in common."""
_FARTHEST = 0.25
"""Of the picture's width: what seems to have moved farther is another picture."""

NO_SHIFT = (0.0, 0.0)


class CameraMotion:
    """Compares each look with the one before."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._taper: NDArray[np.float32] | None = None

    def forget(self) -> None:
        """Compare the next look with none: whatever came before is of no interest."""
        self._before = None

    def shift_px(self, image: Image) -> tuple[float, float]:
        """(dx, dy) by which what stands still has moved since the look before, in pixels of the
        frame; (0, 0) at first, and when nothing can be said.
        """
        grey = _small_grey(image)
        before, self._before = self._before, grey
        if before is None or before.shape != grey.shape:
            self._taper = cv2.createHanningWindow(grey.shape[::-1], cv2.CV_32F)
            return NO_SHIFT
        (dx, dy), response = cv2.phaseCorrelate(before, grey, self._taper)
        size = float(np.hypot(dx, dy)) / _WIDTH_PX
        if response < _LEAST_RESPONSE or not _LEAST_SHIFT < size < _FARTHEST:
            return NO_SHIFT
        scale = image.shape[1] / _WIDTH_PX
        return dx * scale, dy * scale


def _small_grey(image: Image) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    size_px = (_WIDTH_PX, max(1, round(_WIDTH_PX * height / width)))
    small = cv2.resize(image, size_px, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)
