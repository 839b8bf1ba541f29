"""Where in the picture of a camera nobody is detected, and which zones and lines it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.core.config.camera_settings import CameraSettings
from edge_reid.core.crossing import CrossingLine
from edge_reid.core.geometry import Box
from edge_reid.core.polygon import Polygon, SharePoint
from edge_reid.core.types import Detection


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the picture with a name."""

    name: str
    area: Polygon
    loitering_s: float | None = None
    """Who is in it for so long loiters; None: nobody does."""


@dataclass(frozen=True, slots=True)
class TripLine:
    """A line across the way of people."""

    name: str
    way: CrossingLine
    sides: frozenset[int]
    """Crossings to which sides are told: 1 to its right, `in`; -1 to its left, `out`."""


_SIDES = {"in": frozenset({1}), "out": frozenset({-1}), "both": frozenset({1, -1})}


@dataclass(frozen=True, slots=True)
class CameraAreas:
    """Of one camera, each kind in the order of the configuration."""

    masks: tuple[Polygon, ...] = ()
    zones: tuple[Zone, ...] = ()
    lines: tuple[TripLine, ...] = ()

    @classmethod
    def of(cls, settings: CameraSettings) -> CameraAreas:
        """Those that are configured."""
        return cls(
            tuple(Polygon(mask.points) for mask in settings.masks),
            tuple(
                Zone(zone.name, Polygon(zone.points), zone.loitering_s) for zone in settings.zones
            ),
            tuple(
                TripLine(line.name, CrossingLine(*line.points), _SIDES[line.direction])
                for line in settings.lines
            ),
        )

    def unmasked(
        self, detections: Sequence[Detection], size_px: tuple[int, int]
    ) -> Sequence[Detection]:
        """The detections whose feet are in no mask.

        Args:
            detections: of a frame.
            size_px: (width, height) of the frame.
        """
        if not self.masks:
            return detections
        return tuple(one for one in detections if not self._is_masked(feet(one.box, size_px)))

    def zones_of(self, box: Box, size_px: tuple[int, int]) -> tuple[str, ...] | None:
        """Names of the zones in which the feet of a box are; None: the camera has no zones."""
        if not self.zones:
            return None
        point = feet(box, size_px)
        return tuple(zone.name for zone in self.zones if zone.area.contains(point))

    def _is_masked(self, point: SharePoint) -> bool:
        return any(mask.contains(point) for mask in self.masks)


def feet(box: Box, size_px: tuple[int, int]) -> SharePoint:
    """The middle of the lower edge of a box, within the picture.

    >>> feet(Box(10, 0, 30, 60), (100, 50))
    (0.2, 0.999999)
    """
    width, height = size_px
    x, y = box.centre[0] / width, box.y2 / height
    return _within(x), _within(y)


def _within(share: float) -> float:
    """A person who is cut off by the edge of the picture stands at it."""
    return min(max(share, 0.0), 0.999999)
