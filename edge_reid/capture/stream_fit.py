"""Where the view of a camera's small stream lies in its large one, found by looking at both.

Cameras make a small stream of another shape in two ways: they squeeze the whole view into it, or
leave out its sides (or its top and bottom). Which it is nobody tells; the pictures do. Streams that
do not show the same belong to two cameras, and a box of one means nothing in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_reid.core.geometry import Box

Grey = NDArray[np.uint8]
"""(h, w) uint8."""

GRID_HEIGHT_PX = 54
"""Pictures are compared at this size, so that they are to have as many rows at least."""
_GRID_PX = (96, GRID_HEIGHT_PX)
_BLUR_PX = 6.0
"""What is larger than a few of these is left out: sky above, ground below, in every view."""
_LEAST_LIKENESS = 0.6
"""Correlation of two pictures of one moment: 0.8 and more if they show the same, under 0.5 if
they do not, or lie otherwise in each other."""
_FLAT_LEVELS = 1.0
"""Standard deviation of what is left of a picture at night: nothing can be compared in it."""
_SAME_SHAPE = 1.02
"""Ratio of two aspect ratios: 1920×1080 and 640×360 differ by nothing, 704×396 by little."""


@dataclass(frozen=True, slots=True)
class StreamFit:
    """The small view as a rectangle in shares of the large picture; it may reach out of it."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def in_large(self, box: Box, small_px: tuple[int, int], large_px: tuple[int, int]) -> Box:
        """A box of the small picture as one of the large; sizes are (width, height).

        >>> StreamFit().in_large(Box(10, 20, 30, 60), (640, 360), (1920, 1080))
        Box(x1=30.0, y1=60.0, x2=90.0, y2=180.0)
        >>> middle = StreamFit(left=0.125, right=0.875)
        >>> middle.in_large(Box(0, 0, 320, 480), (640, 480), (1920, 1080))
        Box(x1=240.0, y1=0.0, x2=960.0, y2=1080.0)
        """
        x1, x2 = (self._x(x / small_px[0]) * large_px[0] for x in (box.x1, box.x2))
        y1, y2 = (self._y(y / small_px[1]) * large_px[1] for y in (box.y1, box.y2))
        return Box(x1, y1, x2, y2)

    def _x(self, share: float) -> float:
        return self.left + share * (self.right - self.left)

    def _y(self, share: float) -> float:
        return self.top + share * (self.bottom - self.top)

    def common(self) -> tuple[Box, Box]:
        """What both pictures show, in shares of the small and of the large one."""
        large = Box(*(min(max(edge, 0.0), 1.0) for edge in self._edges))
        wide, tall = self.right - self.left, self.bottom - self.top
        small = Box(
            (large.x1 - self.left) / wide,
            (large.y1 - self.top) / tall,
            (large.x2 - self.left) / wide,
            (large.y2 - self.top) / tall,
        )
        return small, large

    @property
    def _edges(self) -> tuple[float, float, float, float]:
        return self.left, self.top, self.right, self.bottom


WHOLE = StreamFit()


def find_fit(
    small: Grey, large: Grey, small_px: tuple[int, int], large_px: tuple[int, int]
) -> StreamFit | None:
    """The fit of two pictures of about one moment; None when they do not show the same.

    Args:
        small: of the small stream, shrunk or not.
        large: of the large stream, shrunk or not.
        small_px: (width, height) of the small one before that.
        large_px: the same of the large one.
    """
    likeness = {fit: _likeness(fit, small, large) for fit in _candidates(small_px, large_px)}
    if all(found is None for found in likeness.values()):
        return WHOLE
    best = max(likeness, key=lambda fit: likeness[fit] or 0.0)
    return best if (likeness[best] or 0.0) >= _LEAST_LIKENESS else None


def _candidates(small_px: tuple[int, int], large_px: tuple[int, int]) -> Iterator[StreamFit]:
    """Squeezed; or, of another shape, cut out of the middle, either way round."""
    yield WHOLE
    ratio = small_px[0] * large_px[1] / (small_px[1] * large_px[0])
    if 1 / _SAME_SHAPE < ratio < _SAME_SHAPE:
        return
    for width, height in ((ratio, 1.0), (1.0, 1 / ratio)):
        left, top = (1 - width) / 2, (1 - height) / 2
        yield StreamFit(left, top, 1 - left, 1 - top)


def _likeness(fit: StreamFit, small: Grey, large: Grey) -> float | None:
    """Correlation of what both show, -1..1; None when one shows nothing."""
    ours, theirs = (
        _fine_structure(_cut(picture, part))
        for picture, part in zip((small, large), fit.common(), strict=True)
    )
    spread = float(np.std(ours)), float(np.std(theirs))
    if min(spread) < _FLAT_LEVELS:
        return None
    return float(np.mean(ours * theirs)) / (spread[0] * spread[1])


def _cut(picture: Grey, part: Box) -> Grey:
    height, width = picture.shape
    rows = slice(round(part.y1 * height), round(part.y2 * height))
    return picture[rows, round(part.x1 * width) : round(part.x2 * width)]


def _fine_structure(picture: Grey) -> NDArray[np.float32]:
    """Shrunk to the grid, less what is coarser than the blur."""
    grid = np.asarray(cv2.resize(picture, _GRID_PX, interpolation=cv2.INTER_AREA), np.float32)
    fine = grid - cv2.GaussianBlur(grid, (0, 0), _BLUR_PX)
    return np.asarray(fine - fine.mean(), np.float32)
