"""Areas of a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

SharePoint = tuple[float, float]
"""(x, y) in shares of a picture's width and height: (0, 0) is its top left, (1, 1) its bottom
right."""


@dataclass(frozen=True, slots=True)
class Polygon:
    """An area with straight edges; the last corner is joined with the first."""

    corners: tuple[SharePoint, ...]
    """At least three."""

    def contains(self, point: SharePoint) -> bool:
        """Whether a point lies in it; where edges cross, what is surrounded twice is outside.

        >>> triangle = Polygon(((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
        >>> triangle.contains((0.2, 0.2)), triangle.contains((0.9, 0.9))
        (True, False)
        """
        return sum(_is_left_of(point, *edge) for edge in self._edges) % 2 == 1

    def distance_px(self, point: SharePoint, size_px: tuple[int, int]) -> float:
        """From a point to the nearest edge, in pixels of a picture of this (width, height).

        Edges along the border of the picture do not count: nobody walks over them within it.
        Infinite, when no other is left.

        >>> half = Polygon(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
        >>> half.distance_px((0.25, 0.99), (100, 100))
        25.0
        """
        inner = (edge for edge in self._edges if not _is_on_border(*edge))
        where = _in_pixels(point, size_px)
        ends = ([_in_pixels(end, size_px) for end in edge] for edge in inner)
        return min((_distance(where, *edge) for edge in ends), default=math.inf)

    def reach_px(self, size_px: tuple[int, int]) -> float:
        """How far from all edges one can be in it, at least, in pixels: no area is larger than its
        perimeter times that. 0 where edges cross so that what they surround cancels out.
        """
        edges = [[_in_pixels(end, size_px) for end in edge] for edge in self._edges]
        area = abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in edges)) / 2
        perimeter = sum(math.dist(*edge) for edge in edges)
        return area / perimeter if perimeter else 0.0

    @property
    def _edges(self) -> Iterator[tuple[SharePoint, SharePoint]]:
        return zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True)


def _is_left_of(point: SharePoint, first: SharePoint, second: SharePoint) -> bool:
    """Whether a ray from the point to the right crosses an edge."""
    (x, y), (x1, y1), (x2, y2) = point, first, second
    if (y1 > y) == (y2 > y):
        return False
    return x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)


def _is_on_border(first: SharePoint, second: SharePoint) -> bool:
    return any(a == b and a in {0.0, 1.0} for a, b in zip(first, second, strict=True))


def _in_pixels(point: SharePoint, size_px: tuple[int, int]) -> tuple[float, float]:
    return point[0] * size_px[0], point[1] * size_px[1]


def _distance(
    point: tuple[float, float], first: tuple[float, float], second: tuple[float, float]
) -> float:
    """From a point to a stretch of a line."""
    along = second[0] - first[0], second[1] - first[1]
    length_2 = along[0] ** 2 + along[1] ** 2
    if length_2 == 0.0:
        return math.dist(point, first)
    share = ((point[0] - first[0]) * along[0] + (point[1] - first[1]) * along[1]) / length_2
    share = min(max(share, 0.0), 1.0)
    return math.dist(point, (first[0] + share * along[0], first[1] + share * along[1]))
