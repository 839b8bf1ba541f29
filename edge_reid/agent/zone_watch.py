"""Who enters and leaves the zones of a camera, loiters there, and crosses its lines.

It goes by visits: a track that continues another one does not enter again. So whoever is lost in a
zone stays in it for as long as a track may come that continues theirs; and a new track that appears
there meanwhile is told only when it is known to be somebody else. What is told has the time at
which it happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from edge_reid.agent.camera_areas import CameraAreas, Zone
from edge_reid.agent.zone_changes import ZoneChanges
from edge_reid.agent.zone_visit import Stay, ZoneVisit
from edge_reid.core.types import Track, ZoneChange


class VisitBook(Protocol):
    """Knows whose visit a track goes on with."""

    def visit_of(self, track_id: int) -> int:
        """The number of the track that the visit of this open one began as."""

    def is_undecided(self, track_id: int) -> bool:
        """Whether it may still turn out that this open track continues another one."""

    def awaited(self, now_utc_s: float) -> frozenset[int]:
        """Visits without an open track that one may still turn out to continue."""


class ZoneWatch:
    """Of one camera.

    Args:
        areas: its zones and lines.
        visits: of its tracks.
    """

    def __init__(self, areas: CameraAreas, visits: VisitBook) -> None:
        self._areas = areas
        self._book = visits
        self._visits: dict[int, ZoneVisit] = {}
        self._number_of: dict[int, int] = {}  # by open track, as of the last look

    def look(
        self, tracks: Iterable[Track], size_px: tuple[int, int], now_utc_s: float, told_utc_s: float
    ) -> tuple[ZoneChange, ...]:
        """What has changed since the last look of the detector.

        Args:
            tracks: that are open, observed or not.
            size_px: (width, height) of the frame, the same since `finish`.
            now_utc_s: of the frame.
            told_utc_s: when that is decided.
        """
        telling, tracks = ZoneChanges(size_px, now_utc_s, told_utc_s), tuple(tracks)
        numbers = {track.track_id: self._book.visit_of(track.track_id) for track in tracks}
        seen = {numbers[track.track_id]: track for track in tracks if track.observed}
        changes = [
            *self._join(numbers, telling),
            *self._move(seen, telling),
            *self._give_up(numbers, telling),
            *self._enter(seen, telling),
            *self._loiter(seen, telling),
        ]
        self._number_of = numbers
        return tuple(changes)

    def finish(self, size_px: tuple[int, int], told_utc_s: float) -> tuple[ZoneChange, ...]:
        """All leave: nobody is followed over what comes next."""
        telling = ZoneChanges(size_px, told_utc_s, told_utc_s)
        left = [
            change for number in sorted(self._visits) for change in self._leave(number, telling)
        ]
        self._visits, self._number_of = {}, {}
        return tuple(left)

    def _join(self, numbers: dict[int, int], telling: ZoneChanges) -> Iterator[ZoneChange]:
        """Tracks that were found to continue an earlier visit take it over. Where two have swapped
        visits, or a track shows another person, there is nothing to take over.
        """
        for track_id, number in numbers.items():
            was = self._number_of.get(track_id, number)
            is_new_to_it = was == track_id != number and was not in numbers.values()
            if not is_new_to_it or was not in self._visits:
                continue
            visit = self._visits.pop(was)
            if number in self._visits:
                for crossing in visit.join(self._visits[number], self._areas):
                    yield from telling.crossed(number, visit, crossing)
            self._visits[number] = visit

    def _move(self, seen: dict[int, Track], telling: ZoneChanges) -> Iterator[ZoneChange]:
        """Everybody who is seen is where they are now."""
        for number, track in sorted(seen.items()):
            is_new = number not in self._visits
            visit = self._visits.setdefault(number, ZoneVisit(track))
            visit.track = track
            for name, stay in visit.zones_left(self._areas, telling.size_px):
                yield from telling.left(number, visit, name, stay)
            visit.note_zones(self._areas, telling.size_px, is_new=is_new)
            for crossing in visit.crossings(self._areas, telling.size_px):
                yield from telling.crossed(number, visit, crossing)

    def _give_up(self, numbers: dict[int, int], telling: ZoneChanges) -> Iterator[ZoneChange]:
        """Who was lost, and whom nobody can continue any more, has left."""
        staying = {*numbers.values(), *self._book.awaited(telling.now_utc_s)}
        for number in sorted(self._visits.keys() - staying):
            yield from self._leave(number, telling)
            del self._visits[number]

    def _leave(self, number: int, telling: ZoneChanges) -> Iterator[ZoneChange]:
        visit = self._visits[number]
        for name, stay in visit.stays.items():
            yield from telling.left(number, visit, name, stay)

    def _enter(self, seen: dict[int, Track], telling: ZoneChanges) -> Iterator[ZoneChange]:
        """Tell who has entered, unless they may be somebody who was lost in the same zone."""
        for number, visit in sorted(self._visits.items()):
            is_undecided = number in seen and self._book.is_undecided(seen[number].track_id)
            for name, stay in visit.stays.items():
                if stay.is_told or (is_undecided and self._has_lost(seen, name)):
                    continue
                stay.is_told = True
                yield telling.entered(number, name, stay)

    def _has_lost(self, seen: dict[int, Track], zone: str) -> bool:
        """Whether somebody is in a zone who is not seen now."""
        return any(
            zone in visit.stays for number, visit in self._visits.items() if number not in seen
        )

    def _loiter(self, seen: dict[int, Track], telling: ZoneChanges) -> Iterator[ZoneChange]:
        for number in sorted(seen):
            visit = self._visits[number]
            for zone in self._areas.zones:
                stay = visit.stays.get(zone.name)
                if stay and stay.is_told and _loiters(zone, stay, telling.now_utc_s):
                    stay.has_loitered = True
                    yield telling.loitering(number, visit, zone.name, stay)


def _loiters(zone: Zone, stay: Stay, now_utc_s: float) -> bool:
    """Whether somebody does who was not told of yet."""
    if zone.loitering_s is None or stay.has_loitered:
        return False
    return now_utc_s - stay.began.last_seen_utc_s >= zone.loitering_s
