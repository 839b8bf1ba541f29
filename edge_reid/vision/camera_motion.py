"""How far the whole picture has moved: a camera that shakes in the wind, or is panned.

Two looks, small, grey and tapered towards their edges, are compared by phase correlation (Kuglin,
Hines 1975): what stands still in the world has one shift everywhere, people who walk have others.
That is right to a pixel or two, which at ten looks a second is a third of a walker's step; so
corners are followed from there by optical flow (Lucas, Kanade 1981), and those that agree with it
say the rest.
Only shifts are found, no rotation and no zoom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.types import Image, Luma

_WIDTH_PX = 384
_LEAST_SHIFT = 0.003
"""Of the picture's width: less is noise, and a camera on a wall stays exactly where it is."""
_CALM_LOOKS = 10
"""After so many with less, a camera that shook stands still again; until then less counts too: at
ten looks a second much of the shaking is less, and what is left out adds up."""
_LEAST_RESPONSE = 0.1
"""Share of the correlation that lies in the peak; below it the two have little in common."""
_FARTHEST = 0.25
"""Of the picture's width: what seems to have moved farther is another picture."""
_CORNERS = 150
_CORNER_QUALITY = 0.01
_CORNERS_APART_PX = 8
_FLOW_WINDOW_PX = (15, 15)
_AGREES_PX = 1.5
"""Of the small picture: a corner that moved so much otherwise is on somebody who walks."""
_LEAST_CORNERS = 10
_LEAST_HEIGHT_PX = 8
"""Of the small picture: a strip has too little to compare."""

NO_SHIFT = (0.0, 0.0)


class CameraMotion:
    """Compares each look with the one before."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._taper: NDArray[np.float32] | None = None
        self._calm_looks = _CALM_LOOKS

    def forget(self) -> None:
        """Compare the next look with none: whatever came before is of no interest."""
        self._before = None

    def shift_px(self, image: Image, luma: Luma | None = None) -> tuple[float, float]:
        """(dx, dy) by which what stands still has moved since the look before, in pixels of the
        frame; (0, 0) at first, and when nothing can be said.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            luma: its brightness, of any size, if that is at hand.
        """
        grey = _small_grey(image, luma)
        before, self._before = self._before, grey
        if len(grey) < _LEAST_HEIGHT_PX:
            return NO_SHIFT
        if before is None or before.shape != grey.shape:
            self._taper = cv2.createHanningWindow(grey.shape[::-1], cv2.CV_32F)
            return NO_SHIFT
        way, response = cv2.phaseCorrelate(before, grey, self._taper)
        if response < _LEAST_RESPONSE or _size(way) >= _FARTHEST:
            return NO_SHIFT
        if _size(way) > _LEAST_SHIFT or self._shakes:
            way = _refined(before, grey, (way[0], way[1]))
        self._calm_looks = 0 if _size(way) > _LEAST_SHIFT else self._calm_looks + 1
        scale = image.shape[1] / _WIDTH_PX
        return (way[0] * scale, way[1] * scale) if self._shakes else NO_SHIFT

    @property
    def _shakes(self) -> bool:
        return self._calm_looks < _CALM_LOOKS


def _size(way: Sequence[float]) -> float:
    """Of the picture's width."""
    return math.hypot(*way) / _WIDTH_PX


def _small_grey(image: Image, luma: Luma | None) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    size_px = (_WIDTH_PX, max(1, round(_WIDTH_PX * height / width)))
    if luma is not None:
        return np.asarray(cv2.resize(luma, size_px, interpolation=cv2.INTER_AREA), np.float32)
    small = cv2.resize(image, size_px, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)


def _refined(
    before: NDArray[np.float32], grey: NDArray[np.float32], way: tuple[float, float]
) -> tuple[float, float]:
    """The median way of the corners that agree with this one, or this one when they are few."""
    first, second = before.astype(np.uint8), grey.astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(first, _CORNERS, _CORNER_QUALITY, _CORNERS_APART_PX)
    if corners is None:
        return way
    found, is_found, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        corners,
        corners + np.asarray(way, np.float32),
        winSize=_FLOW_WINDOW_PX,
        maxLevel=0,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    ways = (found - corners)[is_found[:, 0] == 1, 0]
    agreeing = ways[np.hypot(*(ways - way).T) < _AGREES_PX]
    if len(agreeing) < _LEAST_CORNERS:
        return way
    dx, dy = np.median(agreeing, axis=0)
    return float(dx), float(dy)
