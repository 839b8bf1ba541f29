"""Which stored events of zones and lines somebody asks for, and who it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_reid.consumers.event_store import TABLE
from edge_reid.consumers.zone_rows import ZONE_COLUMNS, ZONE_TABLE, by_table, zone_event_of
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AnyEvent, EventPayload, ZonePayload, utc_s

_WHO = f"""(
    SELECT CASE WHEN event.type = 'correction' THEN NULL
        ELSE coalesce(event.identity, event.stranger) END
    FROM {TABLE} event
    WHERE (event.site, event.agent, event.camera) = (zoned.site, zoned.agent, zoned.camera)
    AND (event.track_id, event.first_seen) = (zoned.track_id, zoned.first_seen)
    ORDER BY event.decided_at DESC, event.seq DESC LIMIT 1
)"""  # noqa: S608 - our own names
"""SQL: whom the track shows, by what was last said of it."""


@dataclass(frozen=True, slots=True)
class ZoneSighting:
    """Somebody at a zone or a line."""

    event: ZonePayload
    who: str | None
    """An identity or a stranger's name, by what was last said of the same track; None: nobody
    known, or nothing was said."""


@dataclass(frozen=True, slots=True)
class ZoneQuery:
    """What is None is not asked."""

    who: str | None = None
    site: str | None = None
    camera: str | None = None
    since_utc_s: float | None = None
    """Of when it happened, as the next."""
    until_utc_s: float | None = None
    limit: int | None = None
    """The newest so many."""

    def select(self, mark: str) -> tuple[str, list[object]]:
        """The SQL, newest first, and its parameters; `mark` stands for one: `?` or `%s`."""
        moments = [None if at is None else rfc3339(at) for at in self._moments]
        asked = (
            ("site =", self.site),
            ("camera =", self.camera),
            ("at >=", moments[0]),
            ("at <=", moments[1]),
            ("who =", self.who),
        )
        given = [(sign, value) for sign, value in asked if value is not None]
        where = " AND ".join(f"{sign} {mark}" for sign, _ in given)
        columns = ", ".join(ZONE_COLUMNS)
        sql = (
            f"SELECT {columns}, who FROM"  # noqa: S608 - our own names
            f" (SELECT zoned.*, {_WHO} AS who FROM {ZONE_TABLE} zoned) sightings"
            + (f" WHERE {where}" if where else "")
            + " ORDER BY at DESC, site DESC, agent DESC, seq DESC"
            + (f" LIMIT {self.limit}" if self.limit is not None else "")
        )
        return sql, [value for _, value in given]

    def of_row(self, row: Sequence[object]) -> ZoneSighting:
        """What a row that was selected says."""
        *columns, who = row
        return ZoneSighting(zone_event_of(columns), None if who is None else str(who))

    def chosen(self, events: Iterable[AnyEvent]) -> list[ZoneSighting]:
        """The same of events that are in no database, oldest first."""
        tracks, zones = by_table(events)
        last = {_track(event): event for event in sorted(tracks, key=_said)}
        sightings = (ZoneSighting(zone, _who(last.get(_track(zone)))) for zone in zones)
        found = sorted(filter(self._matches, sightings), key=_order)
        return list(deque(found, self.limit))

    @property
    def _moments(self) -> tuple[float | None, float | None]:
        return self.since_utc_s, self.until_utc_s

    def _matches(self, sighting: ZoneSighting) -> bool:
        event, (since_s, until_s) = sighting.event, self._moments
        return (
            self.who in {None, sighting.who}
            and self.site in {None, event.site}
            and self.camera in {None, event.camera}
            and (since_s is None or utc_s(event.at) >= since_s)
            and (until_s is None or utc_s(event.at) <= until_s)
        )


def _track(event: EventPayload | ZonePayload) -> tuple[str, str, str, int, str]:
    return event.site, event.agent, event.camera, event.track_id, event.first_seen


def _said(event: EventPayload) -> tuple[str, int]:
    return event.decided_at, event.seq


def _who(last: EventPayload | None) -> str | None:
    if last is None or last.type == "correction":
        return None
    return last.identity or last.stranger


def _order(sighting: ZoneSighting) -> tuple[str, str, str, int]:
    event = sighting.event
    return event.at, event.site, event.agent, event.seq
