"""One visit of a person at the zones and lines of a camera: where it is, and since when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_reid.agent.camera_areas import CameraAreas, TripLine, Zone, feet
from edge_reid.core.polygon import SharePoint
from edge_reid.core.types import Track

_BORDER_SHARE = 0.1
"""Of the height of a box, on either side of a border: who stands there is where they were before.
About a hand's breadth of a person, and more than the lower edge of a box jitters."""
_MOST_OF_REACH = 0.5
"""Of how far from its border one can get in a zone: a narrow one has a narrow border."""


@dataclass(slots=True)
class Stay:
    """Of a visit in a zone."""

    began: Track
    """As it was when they entered; so its `last_seen_utc_s` is when."""
    is_told: bool = False
    """Whether it was told that they entered."""
    has_loitered: bool = False


@dataclass(frozen=True, slots=True)
class Footing:
    """Where somebody stood clearly on one side of a line."""

    point: SharePoint
    side: int
    """1: to its right; -1: to its left."""
    at_utc_s: float


@dataclass(frozen=True, slots=True)
class LineCrossing:
    """A way over a line."""

    line: TripLine
    side: int
    """On which they are now."""
    at_utc_s: float


@dataclass(slots=True, eq=False)
class ZoneVisit:
    """A visit, by its number; tracks come and go."""

    track: Track
    """As it was last seen."""
    stays: dict[str, Stay] = field(default_factory=dict)
    """By name of the zone."""
    first: dict[str, Footing] = field(default_factory=dict)
    """By name of the line: where the track was first clearly on one side."""
    last: dict[str, Footing] = field(default_factory=dict)
    """The same, where it was last."""

    def zones_left(
        self, areas: CameraAreas, size_px: tuple[int, int]
    ) -> Iterator[tuple[str, Stay]]:
        """Take out the zones in which it clearly is not any more, where it was seen just now."""
        for zone in areas.zones:
            stay = self.stays.get(zone.name)
            if stay and not self._is_in(zone, size_px, before=True):
                yield zone.name, self.stays.pop(zone.name)

    def note_zones(self, areas: CameraAreas, size_px: tuple[int, int], *, is_new: bool) -> None:
        """Put in the zones in which it clearly is now; who has just appeared is in or out of one
        wherever they stand.
        """
        point = feet(self.track.box, size_px)
        for zone in areas.zones:
            if zone.name in self.stays:
                continue
            if zone.area.contains(point) if is_new else self._is_in(zone, size_px, before=False):
                self.stays[zone.name] = Stay(self.track)

    def crossings(self, areas: CameraAreas, size_px: tuple[int, int]) -> Iterator[LineCrossing]:
        """The lines that it has crossed since it was last clearly on one side of them."""
        point, at_utc_s = feet(self.track.box, size_px), self.track.last_seen_utc_s
        border_px = _BORDER_SHARE * self.track.box.height
        for line in areas.lines:
            off_px = line.way.side_px(point, size_px)
            if abs(off_px) < border_px:
                continue
            footing = Footing(point, 1 if off_px > 0 else -1, at_utc_s)
            before = self.last.get(line.name)
            self.first.setdefault(line.name, footing)
            self.last[line.name] = footing
            if before and _has_crossed(line, before, footing):
                yield LineCrossing(line, footing.side, at_utc_s)

    def join(self, earlier: ZoneVisit, areas: CameraAreas) -> Iterator[LineCrossing]:
        """Go on with an earlier visit: this one is in what it was in, and since then. Yields the
        lines between where that one was lost and where this one came out.
        """
        self.stays = {**self.stays, **earlier.stays}
        for line in areas.lines:
            before, after = earlier.last.get(line.name), self.first.get(line.name)
            if before and after and _has_crossed(line, before, after):
                yield LineCrossing(line, after.side, after.at_utc_s)
        self.first = {**self.first, **earlier.first}
        self.last = {**earlier.last, **self.last}

    def _is_in(self, zone: Zone, size_px: tuple[int, int], *, before: bool) -> bool:
        """Whether it is in a zone now; on its border it is where it was before."""
        point = feet(self.track.box, size_px)
        is_inside = zone.area.contains(point)
        if is_inside == before:
            return before
        border_px = min(
            _BORDER_SHARE * self.track.box.height, _MOST_OF_REACH * zone.area.reach_px(size_px)
        )
        is_clear = zone.area.distance_px(point, size_px) >= border_px
        return is_inside if is_clear else before


def _has_crossed(line: TripLine, before: Footing, after: Footing) -> bool:
    return before.side != after.side and line.way.is_between(before.point, after.point)
