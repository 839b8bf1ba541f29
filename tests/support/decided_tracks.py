"""Decided tracks to be published, without a camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_reid.core.geometry import Box
from edge_reid.core.types import (
    Embedding,
    Hit,
    HitType,
    Known,
    Track,
    Unknown,
    ZoneChange,
    ZoneChangeType,
)
from edge_reid.wire.events import Event, EventOrigin
from edge_reid.wire.topics import Address
from edge_reid.wire.zone_events import ZoneEvent

MODEL_ID = "0123456789abcdef"
ADDRESS = Address(root="edge-reid", site="lab", agent="gate-1")
ORIGIN = EventOrigin(ADDRESS, camera="gate", model_id=MODEL_ID, gallery_version=3)
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


def a_zone_event(
    track_id: int = 1,
    kind: ZoneChangeType = ZoneChangeType.ENTERED,
    area: str = "desk",
    continues: int | None = None,
) -> ZoneEvent:
    """Of the track of `a_hit`: a second after it began, or two of what needs a stay."""
    is_stay = kind in {ZoneChangeType.LEFT, ZoneChangeType.LOITERING}
    at_s = track_id + (2.0 if is_stay else 1.0)
    box = Box(10.04, 20.0, 50.06, 120.0)
    return ZoneEvent(
        ZoneChange(
            kind,
            area,
            Track(track_id, box, 0.9, True, float(track_id), at_s),
            continues,
            (768, 576),
            at_s,
            at_s + 0.5,
            entered_utc_s=track_id + 1.0 if is_stay else None,
            direction="in" if kind is ZoneChangeType.CROSSED else None,
        ),
        ORIGIN,
    )


def seen(
    kind: HitType,
    track_id: int,
    look: np.ndarray,
    first_s: float,
    last_s: float,
    *,
    crops: int = 5,
    continues: int | None = None,
    looks: Sequence[Embedding] = (),
) -> Hit:
    """Somebody unknown, by `crops` equal embeddings of one look (D,), or by those given."""
    embeddings = tuple(looks) or (Embedding(look.astype(np.float32), MODEL_ID, 0.6),) * crops
    return Hit(
        type=kind,
        decision=Unknown(0.2, 0.7, crops),
        track_id=track_id,
        box=Box(0, 0, 40, 100),
        frame_size_px=(768, 576),
        captured_utc_s=last_s,
        decided_utc_s=last_s,
        first_seen_utc_s=first_s,
        last_seen_utc_s=last_s,
        continues=continues,
        embeddings=embeddings,
    )
