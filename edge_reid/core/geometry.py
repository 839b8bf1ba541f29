"""Boxes, and the arithmetic between them.

A box is `x1, y1, x2, y2` in float pixels of the frame, half-open. Any other format exists only
as a named conversion here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""(N, 4) float32, a row per box, `x1, y1, x2, y2`."""


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle in frame pixels: left, top, right, bottom; half-open."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """In pixels; 0 for a box turned inside out.

        >>> Box(10, 20, 30, 60).width, Box(30, 20, 10, 60).width
        (20, 0.0)
        """
        return max(0.0, self.x2 - self.x1)

    @property
    def height(self) -> float:
        """In pixels; 0 for a box turned inside out.

        >>> Box(10, 20, 30, 60).height
        40
        """
        return max(0.0, self.y2 - self.y1)

    @property
    def area(self) -> float:
        """In square pixels.

        >>> Box(10, 20, 30, 60).area
        800
        """
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) in pixels.

        >>> Box(10, 20, 30, 60).centre
        (20.0, 40.0)
        """
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def shifted(self, dx: float, dy: float) -> Box:
        """The same box, so many pixels to the right and down.

        >>> Box(1, 2, 3, 4).shifted(10, 20)
        Box(x1=11, y1=22, x2=13, y2=24)
        """
        return Box(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)

    def clipped(self, width_px: int, height_px: int) -> Box:
        """The part inside a frame of that size; zero area if there is none.

        >>> Box(-5, 10, 30, 60).clipped(width_px=20, height_px=50)
        Box(x1=0.0, y1=10, x2=20.0, y2=50.0)
        """
        x1, x2 = (min(max(x, 0.0), float(width_px)) for x in (self.x1, self.x2))
        y1, y2 = (min(max(y, 0.0), float(height_px)) for y in (self.y1, self.y2))
        return Box(x1, y1, x2, y2)

    def to_array(self) -> NDArray[np.float32]:
        """(4,) float32, `x1, y1, x2, y2`.

        >>> Box(1, 2, 3, 4).to_array()
        array([1., 2., 3., 4.], dtype=float32)
        """
        return np.array((self.x1, self.y1, self.x2, self.y2), np.float32)

    @classmethod
    def from_array(cls, row: NDArray[np.float32] | NDArray[np.float64]) -> Box:
        """From (4,) `x1, y1, x2, y2`.

        >>> Box.from_array(np.array([1, 2, 3, 4], np.float32))
        Box(x1=1.0, y1=2.0, x2=3.0, y2=4.0)
        """
        x1, y1, x2, y2 = (float(value) for value in row)
        return cls(x1, y1, x2, y2)

    @classmethod
    def from_centre(cls, cx: float, cy: float, width: float, height: float) -> Box:
        """From centre and sides, in pixels.

        >>> Box.from_centre(20, 40, width=20, height=40)
        Box(x1=10.0, y1=20.0, x2=30.0, y2=60.0)
        """
        return cls(cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1.

    >>> iou(Box(0, 0, 2, 2), Box(1, 0, 3, 2)) == iou(Box(1, 0, 3, 2), Box(0, 0, 2, 2))
    True
    >>> round(iou(Box(0, 0, 2, 2), Box(1, 0, 3, 2)), 3)
    0.333
    """
    return float(iou_matrix(a.to_array()[None], b.to_array()[None])[0, 0])


def iou_matrix(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of every pair: (N, 4), (M, 4) → (N, M) float32.

    >>> iou_matrix(np.array([[0, 0, 2, 2]], np.float32), np.array([[0, 0, 2, 1]], np.float32))
    array([[0.5]], dtype=float32)
    """
    overlap = intersection_matrix(a, b)
    union = _areas(a)[:, None] + _areas(b)[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def intersection_matrix(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Shared area of every pair, in square pixels: (N, 4), (M, 4) → (N, M) float32.

    >>> two = np.array([[0, 0, 2, 2], [5, 5, 6, 6]], np.float32)
    >>> intersection_matrix(two, np.array([[1, 1, 9, 9]], np.float32))
    array([[1.],
           [1.]], dtype=float32)
    """
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(bottom_right - top_left, 0.0, None)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float32)


def _areas(boxes: Boxes) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.float32)
