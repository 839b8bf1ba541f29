"""Decided tracks to be published, without a camera."""

from __future__ import annotations

from edge_reid.core.geometry import Box
from edge_reid.core.types import Hit, HitType, Known, Unknown
from edge_reid.wire.events import Event, EventOrigin
from edge_reid.wire.topics import Address

ADDRESS = Address(root="edge-reid", site="lab", agent="gate-1")
ORIGIN = EventOrigin(ADDRESS, camera="gate", model_id="0123456789abcdef", gallery_version=3)
ANA = Known(identity="ana", similarity=0.81234, threshold=0.6, margin=0.2, crops=3)
STRANGER = Unknown(similarity=0.41, threshold=0.6, crops=4)


def a_hit(track_id: int = 1, decision: Known | Unknown = ANA, type_: HitType = HitType.NEW) -> Hit:
    """Of a track that began `track_id` seconds after the epoch, and was decided two later."""
    return Hit(
        type=type_,
        decision=decision,
        track_id=track_id,
        box=Box(10.04, 20.0, 50.06, 120.0),
        frame_size_px=(768, 576),
        captured_utc_s=track_id + 1.5,
        decided_utc_s=track_id + 2.0,
        first_seen_utc_s=float(track_id),
        last_seen_utc_s=track_id + 2.0,
    )


def an_event(
    track_id: int = 1, decision: Known | Unknown = ANA, type_: HitType = HitType.NEW
) -> Event:
    return Event(a_hit(track_id, decision, type_), ORIGIN)
