"""What a look at the zones of a camera found, as values to be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_reid.agent.zone_visit import LineCrossing, Stay, ZoneVisit
from edge_reid.core.types import Track, ZoneChange, ZoneChangeType


@dataclass(frozen=True, slots=True)
class ZoneChanges:
    """Of one look. A visit is given by its number, the track that it began as."""

    size_px: tuple[int, int]
    """(width, height) of the frame."""
    now_utc_s: float
    told_utc_s: float

    def entered(self, number: int, zone: str, stay: Stay) -> ZoneChange:
        """Somebody is in a zone."""
        return self._change(ZoneChangeType.ENTERED, number, zone, stay.began)

    def left(self, number: int, visit: ZoneVisit, zone: str, stay: Stay) -> Iterator[ZoneChange]:
        """Somebody is not in a zone any more; first that they were, if nobody knows."""
        if not stay.is_told:
            yield self.entered(number, zone, stay)
        yield self._change(ZoneChangeType.LEFT, number, zone, visit.track, stay)

    def loitering(self, number: int, visit: ZoneVisit, zone: str, stay: Stay) -> ZoneChange:
        """Somebody has been in a zone for too long."""
        return self._change(ZoneChangeType.LOITERING, number, zone, visit.track, stay)

    def crossed(
        self, number: int, visit: ZoneVisit, crossing: LineCrossing
    ) -> Iterator[ZoneChange]:
        """Somebody went over a line, if that direction is to be told."""
        if crossing.side in crossing.line.sides:
            yield ZoneChange(
                ZoneChangeType.CROSSED,
                crossing.line.name,
                visit.track,
                _continues(number, visit.track),
                self.size_px,
                crossing.at_utc_s,
                self.told_utc_s,
                direction="in" if crossing.side > 0 else "out",
            )

    def _change(
        self, kind: ZoneChangeType, number: int, zone: str, track: Track, *since: Stay
    ) -> ZoneChange:
        return ZoneChange(
            kind,
            zone,
            track,
            _continues(number, track),
            self.size_px,
            track.last_seen_utc_s,
            self.told_utc_s,
            entered_utc_s=since[0].began.last_seen_utc_s if since else None,
        )


def _continues(number: int, track: Track) -> int | None:
    return number if number != track.track_id else None
