"""Which stored hits and unknowns somebody asks for, in every kind of store."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge_reid.consumers.event_store import COLUMNS, TABLE, event_of
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AnyEvent, EventPayload, utc_s

LAST_OF_TRACKS = f"""NOT EXISTS (
    SELECT 1 FROM {TABLE} later
    WHERE (later.site, later.agent, later.camera) = (event.site, event.agent, event.camera)
    AND (later.track_id, later.first_seen) = (event.track_id, event.first_seen)
    AND later.decided_at >= event.decided_at
    AND (later.decided_at, later.seq) > (event.decided_at, event.seq)
)"""  # noqa: S608 - our own names
"""SQL: no event of the same track came later."""


@dataclass(frozen=True, slots=True)
class EventQuery:
    """What is None is not asked."""

    who: str | None = None
    """An identity, or the anonymous name of a stranger."""
    site: str | None = None
    camera: str | None = None
    since_utc_s: float | None = None
    """Of the decision, as the next."""
    until_utc_s: float | None = None
    hits_only: bool = False
    last_of_tracks: bool = False
    """Only what was last said of each track."""
    limit: int | None = None
    """The newest so many."""

    def select(self, mark: str) -> tuple[str, list[object]]:
        """The SQL, newest first, and its parameters; `mark` stands for one: `?` or `%s`."""
        asked = self._conditions(mark)
        conditions = [condition for condition, _ in asked]
        conditions += ["event.kind = 'hit'"] if self.hits_only else []
        # a name that was taken back is nobody's visit
        conditions += ["event.type <> 'correction'", LAST_OF_TRACKS] if self.last_of_tracks else []
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        limit = f" LIMIT {self.limit}" if self.limit is not None else ""
        columns = ", ".join(f"event.{name}" for name in COLUMNS)
        order = "event.decided_at DESC, event.site DESC, event.agent DESC, event.seq DESC"
        sql = f"SELECT {columns} FROM {TABLE} event{where} ORDER BY {order}{limit}"  # noqa: S608 - our own names
        return sql, [value for _, values in asked for value in values]

    def of_row(self, row: Sequence[object]) -> EventPayload:
        """The event in a row that was selected."""
        return event_of(row)

    def chosen(self, events: Iterable[AnyEvent]) -> list[EventPayload]:
        """The same of events that are in no database, oldest first."""
        tracks = (event for event in events if isinstance(event, EventPayload))
        kept = _last_of_tracks(tracks) if self.last_of_tracks else tracks
        found = sorted(filter(self._matches, kept), key=_order)
        return list(deque(found, self.limit))

    def _conditions(self, mark: str) -> list[tuple[str, tuple[object, ...]]]:
        asked: list[tuple[str, tuple[object, ...]]] = []
        if self.who is not None:
            both = f"(event.identity = {mark} OR event.stranger = {mark})"
            asked.append((both, (self.who, self.who)))
        for name, value in (("site", self.site), ("camera", self.camera)):
            if value is not None:
                asked.append((f"event.{name} = {mark}", (value,)))
        for sign, at_s in ((">=", self.since_utc_s), ("<=", self.until_utc_s)):
            if at_s is not None:
                asked.append((f"event.decided_at {sign} {mark}", (rfc3339(at_s),)))
        return asked

    def _matches(self, event: EventPayload) -> bool:
        decided_s = utc_s(event.decided_at)
        return (
            (self.who is None or self.who in {event.identity, event.stranger})
            and (self.site is None or event.site == self.site)
            and (self.camera is None or event.camera == self.camera)
            and (self.since_utc_s is None or decided_s >= self.since_utc_s)
            and (self.until_utc_s is None or decided_s <= self.until_utc_s)
            and (not self.hits_only or event.identity is not None)
        )


def _last_of_tracks(events: Iterable[EventPayload]) -> Iterator[EventPayload]:
    last: dict[tuple[str, str, str, int, str], EventPayload] = {}
    for event in events:
        key = event.site, event.agent, event.camera, event.track_id, event.first_seen
        if key not in last or _order(last[key]) < _order(event):
            last[key] = event
    yield from (event for event in last.values() if event.type != "correction")


def _order(event: EventPayload) -> tuple[str, str, str, int]:
    return event.decided_at, event.site, event.agent, event.seq
