"""From what somebody did at a zone or a line to the event that tells of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from edge_reid.core.types import ZoneChange, ZoneChangeType
from edge_reid.wire.events import EVENT_NAMESPACE, EventOrigin, rfc3339, wire_box
from edge_reid.wire.payloads import ZonePayload


@dataclass(frozen=True, slots=True)
class ZoneEvent:
    """A change on its way out; only its number in the outbox is missing."""

    change: ZoneChange
    origin: EventOrigin

    @property
    def named(self) -> None:
        """It names nobody."""
        return

    @property
    def topic(self) -> str:
        return self.origin.address.zones(self.origin.camera)

    def payload(self, seq: int, *, replayed: bool = False) -> ZonePayload:
        """What is published as event number `seq`."""
        change, track, address = self.change, self.change.track, self.origin.address
        is_line = change.type is ZoneChangeType.CROSSED
        since_utc_s = change.entered_utc_s
        return ZonePayload(
            event_id=self._event_id,
            seq=seq,
            type=change.type.value,
            site=address.site,
            agent=address.agent,
            camera=self.origin.camera,
            track_id=int(track.track_id),
            continues=change.continues,
            zone=None if is_line else change.area,
            line=change.area if is_line else None,
            direction=change.direction,
            at=rfc3339(change.at_utc_s),
            entered_at=None if since_utc_s is None else rfc3339(since_utc_s),
            decided_at=rfc3339(change.decided_utc_s),
            first_seen=rfc3339(track.first_seen_utc_s),
            last_seen=rfc3339(track.last_seen_utc_s),
            box=wire_box(track.box),
            frame_size=change.frame_size_px,
            replayed=replayed,
        )

    @property
    def _event_id(self) -> str:
        """A UUID of what makes this event unlike any other, as `events.event_id`."""
        change, track, origin = self.change, self.change.track, self.origin
        parts = (
            "zone",
            origin.address.site,
            origin.address.agent,
            origin.camera,
            origin.source,
            track.track_id,
            rfc3339(track.first_seen_utc_s),
            change.type.value,
            change.area,
            change.direction,
            rfc3339(change.at_utc_s),
            wire_box(track.box),
            change.frame_size_px,
        )
        return str(uuid.uuid5(EVENT_NAMESPACE, "\n".join(map(str, parts))))
