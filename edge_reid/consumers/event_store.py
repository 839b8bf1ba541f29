"""Where a sink puts events: what every store does."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from edge_reid.core.errors import StoreError
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AnyEvent, EventPayload, HitPayload, UnknownPayload

TABLE = "edge_reid_events"
"""In every database; deploy/broker/README.md says what stands in it."""

COLUMNS = (
    *("event_id", "kind", "seq", "type", "corrects"),
    *("site", "agent", "camera", "track_id", "continues"),
    *("identity", "stranger", "similarity", "threshold", "margin", "crops"),
    *("captured_at", "decided_at", "first_seen", "last_seen"),
    *("x1", "y1", "x2", "y2", "frame_width", "frame_height", "zones"),
    *("model_id", "gallery_version", "replayed", "stored_at"),
)
"""Of the table, the same in every database; `kind` is `hit` or `unknown`."""


MONTH_S = 30 * 86_400
OWN_MONTHS = 120
"""An event whose time is further back is of a device whose clock was wrong: it is aged by the time
at which it was stored."""
BATCH_MAX = 500
"""Events of one commit to a disk."""


class StoreUnavailableError(StoreError):
    """The store is not there now. It may come back; nothing was written."""


class RejectedEventError(StoreError):
    """The store cannot hold one of these events, ever: a number too large, say."""


class EventStore(Protocol):
    """Keeps events, each `event_id` once."""

    batch_max: int
    """Most events of one `write`: of what takes them one by one, few are in doubt after a kill."""

    def write(self, events: Sequence[AnyEvent]) -> int:
        """Put events on disk, all or none; returns how many were not there yet.

        Raises:
            StoreUnavailableError: not now; the same events may be written again later.
            RejectedEventError: not these events.
            StoreError: never; somebody must look at it.
        """

    def expire(self, before_utc_s: float) -> None:
        """Delete what was decided before then.

        Raises:
            StoreUnavailableError: not now; nothing was deleted.
            StoreError: this store forgets nothing, or is broken.
        """

    def close(self) -> None:
        """Let go of it."""


def row(event: EventPayload) -> tuple[object, ...]:
    """An event as a row of `COLUMNS`."""
    return (
        *(event.event_id, "hit" if isinstance(event, HitPayload) else "unknown", event.seq),
        *(event.type, event.corrects if isinstance(event, HitPayload) else None),
        *(event.site, event.agent, event.camera, event.track_id, event.continues),
        *(event.identity, event.stranger),
        *(event.similarity, event.threshold, event.margin, event.crops),
        *(event.captured_at, event.decided_at, event.first_seen, event.last_seen),
        *(*event.box, *event.frame_size),
        None if event.zones is None else list(event.zones),
        *(event.model_id, event.gallery_version, event.replayed, rfc3339(time.time())),
    )


def event_of(row: Sequence[object]) -> EventPayload:
    """The event that a row of `COLUMNS` holds."""
    fields = {name: on_the_wire(value) for name, value in zip(COLUMNS, row, strict=True)}
    if isinstance(fields["zones"], str):  # a database without lists has them as JSON
        fields["zones"] = json.loads(fields["zones"])
    kind = HitPayload if fields["kind"] == "hit" else UnknownPayload
    box = tuple(fields[name] for name in ("x1", "y1", "x2", "y2"))
    size = fields["frame_width"], fields["frame_height"]
    return kind.model_validate({**fields, "box": box, "frame_size": size})


def on_the_wire(value: object) -> object:
    """A value of a database as an event has it."""
    return rfc3339(value.timestamp()) if isinstance(value, datetime) else value
