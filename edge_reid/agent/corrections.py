"""Published names that turn out wrong: which correction goes ahead of which event.

A track that was published as one person and is now decided to be another, or nobody, has its first
name taken back, and so has one whose person is removed from the gallery.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from edge_reid.core.types import HitType, Known
from edge_reid.wire.events import Event, EventOrigin, event_id


class Corrections:
    """What was last published of the open tracks of one camera that show somebody known."""

    def __init__(self) -> None:
        self._published: dict[int, Event] = {}  # by track

    def with_correction(self, event: Event) -> tuple[Event, ...]:
        """An event that is to be published, and ahead of it the correction that it makes due."""
        hit = event.hit
        before = self._published.pop(hit.track_id, None)
        name = hit.decision.identity if isinstance(hit.decision, Known) else None
        if name is not None and hit.type is not HitType.END:
            self._published[hit.track_id] = event
        if before is None or _name_in(before) == name:
            return (event,)
        return _correction(before, event.origin, hit.decided_utc_s, hit.last_seen_utc_s), event

    def of_removed(
        self, enrolled: Container[str], origin: EventOrigin, now_utc_s: float
    ) -> list[Event]:
        """Corrections of all who are not enrolled any more."""
        gone = {
            track_id: event
            for track_id, event in self._published.items()
            if _name_in(event) not in enrolled
        }
        for track_id in gone:
            del self._published[track_id]
        return [
            _correction(event, origin, now_utc_s, event.hit.last_seen_utc_s)
            for event in gone.values()
        ]


def _name_in(event: Event) -> str | None:
    decision = event.hit.decision
    return decision.identity if isinstance(decision, Known) else None


def _correction(
    wrong: Event, origin: EventOrigin, decided_utc_s: float, last_seen_utc_s: float
) -> Event:
    """An event that takes another one back."""
    hit = replace(
        wrong.hit,
        type=HitType.CORRECTION,
        decided_utc_s=decided_utc_s,
        last_seen_utc_s=last_seen_utc_s,
    )
    return Event(hit, origin, corrects=event_id(wrong.hit, wrong.origin))
