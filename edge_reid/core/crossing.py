"""Lines that people cross, and on which side of one somebody is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_reid.core.polygon import SharePoint


@dataclass(frozen=True, slots=True)
class CrossingLine:
    """A stretch from one point of a picture to another."""

    first: SharePoint
    second: SharePoint

    def side_px(self, point: SharePoint, size_px: tuple[int, int]) -> float:
        """How far a point is off the line on which the stretch lies, in pixels of a picture of this
        (width, height); positive to the right of who looks from the first end to the second.

        >>> CrossingLine((0.0, 0.5), (1.0, 0.5)).side_px((0.3, 0.75), (100, 200))
        50.0
        """
        (width, height), (x1, y1), (x2, y2) = size_px, self.first, self.second
        along_x, along_y = (x2 - x1) * width, (y2 - y1) * height
        x, y = (point[0] - x1) * width, (point[1] - y1) * height
        return (along_x * y - along_y * x) / math.hypot(along_x, along_y)

    def is_between(self, start: SharePoint, end: SharePoint) -> bool:
        """Whether the straight way from one point to another goes through the stretch, where the
        two are on different sides of its line.

        >>> line = CrossingLine((0.0, 0.5), (0.5, 0.5))
        >>> line.is_between((0.2, 0.4), (0.2, 0.6)), line.is_between((0.8, 0.4), (0.8, 0.6))
        (True, False)
        """
        return _turn(start, end, self.first) * _turn(start, end, self.second) <= 0


def _turn(start: SharePoint, end: SharePoint, point: SharePoint) -> float:
    """Positive: the point is to the right of the way; 0: it is on it."""
    way_x, way_y = end[0] - start[0], end[1] - start[1]
    return way_x * (point[1] - start[1]) - way_y * (point[0] - start[0])
