"""What happened at zones and lines, as rows of a table of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from edge_reid.consumers.event_store import on_the_wire
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AnyEvent, EventPayload, ZonePayload

ZONE_TABLE = "edge_reid_zone_events"
"""In every database; deploy/broker/README.md says what stands in it."""

ZONE_COLUMNS = (
    *("event_id", "seq", "type", "zone", "line", "direction"),
    *("site", "agent", "camera", "track_id", "continues"),
    *("at", "entered_at", "decided_at", "first_seen", "last_seen"),
    *("x1", "y1", "x2", "y2", "frame_width", "frame_height"),
    *("replayed", "stored_at"),
)


def zone_row(event: ZonePayload) -> tuple[object, ...]:
    """An event as a row of `ZONE_COLUMNS`."""
    return (
        *(event.event_id, event.seq, event.type, event.zone, event.line, event.direction),
        *(event.site, event.agent, event.camera, event.track_id, event.continues),
        *(event.at, event.entered_at, event.decided_at, event.first_seen, event.last_seen),
        *(*event.box, *event.frame_size),
        *(event.replayed, rfc3339(time.time())),
    )


def zone_event_of(row: Sequence[object]) -> ZonePayload:
    """The event that a row of `ZONE_COLUMNS` holds."""
    fields = {name: on_the_wire(value) for name, value in zip(ZONE_COLUMNS, row, strict=True)}
    box = tuple(fields[name] for name in ("x1", "y1", "x2", "y2"))
    size = fields["frame_width"], fields["frame_height"]
    return ZonePayload.model_validate({**fields, "box": box, "frame_size": size})


def by_table(events: Iterable[AnyEvent]) -> tuple[list[EventPayload], list[ZonePayload]]:
    """Events of tracks, and those of zones and lines."""
    tracks: list[EventPayload] = []
    zones: list[ZonePayload] = []
    for event in events:
        if isinstance(event, ZonePayload):
            zones.append(event)
        else:
            tracks.append(event)
    return tracks, zones
