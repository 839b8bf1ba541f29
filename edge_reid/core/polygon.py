"""Areas of a picture."""

from __future__ import annotations

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

    @property
    def _edges(self) -> Iterator[tuple[SharePoint, SharePoint]]:
        return zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True)


def _is_left_of(point: SharePoint, first: SharePoint, second: SharePoint) -> bool:
    """Whether a ray from the point to the right crosses an edge."""
    (x, y), (x1, y1), (x2, y2) = point, first, second
    if (y1 > y) == (y2 > y):
        return False
    return x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)
