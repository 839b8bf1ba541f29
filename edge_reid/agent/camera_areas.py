"""Where in the picture of a camera nobody is detected, and which zones it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.core.config import CameraSettings
from edge_reid.core.geometry import Box
from edge_reid.core.polygon import Polygon, SharePoint
from edge_reid.core.types import Detection


@dataclass(frozen=True, slots=True)
class CameraAreas:
    """Of one camera."""

    masks: tuple[Polygon, ...] = ()
    zones: tuple[tuple[str, Polygon], ...] = ()
    """By name, in the order of the configuration."""

    @classmethod
    def of(cls, settings: CameraSettings) -> CameraAreas:
        """Those that are configured."""
        return cls(
            tuple(Polygon(mask.points) for mask in settings.masks),
            tuple((zone.name, Polygon(zone.points)) for zone in settings.zones),
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
        return tuple(name for name, zone in self.zones if zone.contains(point))

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
