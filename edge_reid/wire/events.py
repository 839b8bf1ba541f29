"""From the agent's values to messages: topics, payloads, rounding. Pure; nothing here does I/O.

This is the only place where numbers are rounded: similarities to 4 decimals, boxes to a tenth of a
pixel, times to the millisecond.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, Protocol

from edge_reid.core.camera_fault import FaultKind
from edge_reid.core.geometry import Box
from edge_reid.core.stream_states import StreamStates
from edge_reid.core.types import Hit, Known
from edge_reid.matching.score_drift import DriftReport
from edge_reid.mqtt.message import Message
from edge_reid.wire.payloads import (
    LINES_MAX,
    SILENT_PERIODS,
    CameraEvent,
    CameraStatus,
    Corrector,
    DriftFigures,
    EventPayload,
    HitPayload,
    IdentityState,
    IdentityView,
    LookFigures,
    StreamFigures,
    UnknownPayload,
)
from edge_reid.wire.topics import Address

CameraState = Literal["starting", "running", "stalled", "inactive", "failed", "ended"]

_LIVING = ("starting", "running", "stalled", "inactive")
EVENT_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:edge-reid:event")


@dataclass(frozen=True, slots=True)
class EventOrigin:
    """Who says it, and by what: the part of an event that a hit does not know."""

    address: Address
    camera: str
    model_id: str
    gallery_version: int
    source: str = ""
    """A name that no other recording has; empty when it is live."""


class OutgoingEvent(Protocol):
    """On its way out: only its number in the outbox is missing."""

    @property
    def topic(self) -> str: ...

    @property
    def named(self) -> str | None:
        """The identity that it names, if any."""

    def payload(self, seq: int, *, replayed: bool = False) -> CameraEvent:
        """What is published as event number `seq`."""


@dataclass(frozen=True, slots=True)
class Event:
    """A decided track on its way out; only its number in the outbox is missing."""

    hit: Hit
    origin: EventOrigin
    corrects: str | None = None
    """Of a correction: `event_id` of the event that is taken back."""
    corrected_by: Corrector | None = None
    """Of a correction: why."""

    @property
    def named(self) -> str | None:
        """The identity that it names, if any."""
        return self.hit.decision.identity if isinstance(self.hit.decision, Known) else None

    @property
    def topic(self) -> str:
        address, camera = self.origin.address, self.origin.camera
        known = isinstance(self.hit.decision, Known)
        return address.hits(camera) if known else address.unknowns(camera)

    def payload(self, seq: int, *, replayed: bool = False) -> EventPayload:
        """What is published as event number `seq`: a HitPayload or an UnknownPayload."""
        hit, decision, origin = self.hit, self.hit.decision, self.origin
        known = decision if isinstance(decision, Known) else None
        kind: type[EventPayload] = HitPayload if known else UnknownPayload
        payload = kind(
            event_id=event_id(hit, origin),
            seq=seq,
            type=hit.type.value,
            site=origin.address.site,
            agent=origin.address.agent,
            camera=origin.camera,
            track_id=int(hit.track_id),
            continues=hit.continues,
            identity=known.identity if known else None,
            stranger=None if known else hit.stranger,
            similarity=_similarity(decision.similarity),
            threshold=_rounded(decision.threshold, 4),
            margin=_similarity(known.margin) if known else None,
            crops=int(decision.crops),
            captured_at=rfc3339(hit.captured_utc_s),
            decided_at=rfc3339(hit.decided_utc_s),
            first_seen=rfc3339(hit.first_seen_utc_s),
            last_seen=rfc3339(hit.last_seen_utc_s),
            box=wire_box(hit.box),
            frame_size=hit.frame_size_px,
            zones=hit.zones,
            model_id=origin.model_id,
            gallery_version=int(origin.gallery_version),
            replayed=replayed,
        )
        if known is None:
            return payload
        correction = {"corrects": self.corrects, "corrected_by": self.corrected_by}
        return payload.model_copy(update=correction)


@dataclass(frozen=True, slots=True)
class LookReport:
    """How often and how late a live camera is looked at, over the last while."""

    wanted_hz: float
    present_hz: float
    p50_ms: float | None
    p95_ms: float | None
    events_p95_ms: float | None
    missed: int
    crops_per_look: int | None
    uncompared: int
    is_degraded: bool
    """Whether anything is given up, or missed."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """How the two streams of a camera do, and what came of them since the start."""

    states: StreamStates
    crops: int
    """All that were embedded for tracks."""
    enlarged: int
    """Of these, those from the large stream."""


@dataclass(frozen=True, slots=True)
class CameraReport:
    """How a camera does, as the agent sees it."""

    state: CameraState
    frames: int = 0
    frames_dropped: int = 0
    fps: float | None = None
    last_frame_utc_s: float | None = None
    reason: str | None = None
    fault: FaultKind | None = None
    persons_in_view: int | None = None
    looks: LookReport | None = None
    """None for a recording."""
    streams: StreamReport | None = None
    """None unless it has two."""
    drift: DriftReport | None = None
    """None while too little is known, and for a recording."""
    inactive_until_utc_s: float | None = None
    """When it is watched again; None where it is not `inactive`."""


def event_id(hit: Hit, origin: EventOrigin) -> str:
    """A UUID of what makes this event unlike any other, so that who gets it twice knows it again:
    the recording, what was decided and when, and where in which frame. Two recordings may be alike
    in all but the last, as their clocks begin at the same time unless configured otherwise.

    A run repeated over the same video with the same gallery and models gives the same ids.
    """
    decision = hit.decision
    parts = (
        origin.address.site,
        origin.address.agent,
        origin.camera,
        origin.model_id,
        origin.gallery_version,
        hit.track_id,
        hit.type.value,
        rfc3339(hit.first_seen_utc_s),
        rfc3339(hit.decided_utc_s),
        decision.identity if isinstance(decision, Known) else "",
        _similarity(decision.similarity),
        _rounded(decision.threshold, 4),
        origin.source,
        rfc3339(hit.captured_utc_s),
        rfc3339(hit.last_seen_utc_s),
        wire_box(hit.box),
        hit.frame_size_px,
        decision.crops,
        *((hit.stranger,) if hit.stranger else ()),
    )
    return str(uuid.uuid5(EVENT_NAMESPACE, "\n".join(map(str, parts))))


def identity_message(
    hit: HitPayload, address: Address, views: Sequence[HitPayload] = ()
) -> Message:
    """The retained state of an identity, as of this hit.

    Args:
        hit: what is told.
        address: whose state it is.
        views: the last hit of each camera that has the person in view now.
    """
    state = IdentityState(
        identity=hit.identity,
        in_view=not hit.is_over,
        site=hit.site,
        agent=hit.agent,
        camera=hit.camera,
        track_id=hit.track_id,
        similarity=hit.similarity,
        first_seen=hit.first_seen,
        last_seen=hit.last_seen,
        event_id=hit.event_id,
        views=tuple(
            IdentityView(
                camera=view.camera,
                track_id=view.track_id,
                similarity=view.similarity,
                first_seen=view.first_seen,
                last_seen=view.last_seen,
            )
            for view in sorted(views, key=lambda view: view.camera)[:LINES_MAX]
        ),
    )
    return Message(address.identity(hit.identity), state.to_json(), retain=True)


def camera_status_message(
    address: Address,
    camera: str,
    report: CameraReport,
    now_utc_s: float,
    *,
    period_s: float | None = None,
) -> Message:
    """The retained state of a camera, which is said again every `period_s` at least.

    The broker forgets it when it was not for three times as long: of an agent that was killed
    nothing stays `running` for ever.
    """
    last, rest = report.last_frame_utc_s, report.inactive_until_utc_s
    goes_on = period_s if report.state in _LIVING else None
    status = CameraStatus(
        site=address.site,
        agent=address.agent,
        camera=camera,
        state=report.state,
        reason=report.reason,
        fault=report.fault,
        fps=None if report.fps is None else _rounded(report.fps, 1),
        frames=report.frames,
        frames_dropped=report.frames_dropped,
        last_frame_at=None if last is None else rfc3339(last),
        persons_in_view=report.persons_in_view,
        looks=_look_figures(report.looks) if report.looks else None,
        degraded=report.looks.is_degraded if report.looks else None,
        streams=_stream_figures(report.streams) if report.streams else None,
        drift=_drift_figures(report.drift) if report.drift else None,
        inactive_until=None if rest is None else rfc3339(rest),
        period_s=goes_on,
        at=rfc3339(now_utc_s),
    )
    return Message(
        address.camera_status(camera),
        status.to_json(),
        retain=True,
        expiry_s=None if goes_on is None else math.ceil(SILENT_PERIODS * goes_on),
    )


def _look_figures(looks: LookReport) -> LookFigures:
    def milliseconds(value: float | None) -> float | None:
        return None if value is None else _rounded(value, 1)

    return LookFigures(
        wanted_hz=_rounded(looks.wanted_hz, 2),
        present_hz=_rounded(looks.present_hz, 2),
        p50_ms=milliseconds(looks.p50_ms),
        p95_ms=milliseconds(looks.p95_ms),
        events_p95_ms=milliseconds(looks.events_p95_ms),
        missed=looks.missed,
        crops_per_look=looks.crops_per_look,
        uncompared=looks.uncompared,
    )


def _stream_figures(report: StreamReport) -> StreamFigures:
    states = report.states
    return StreamFigures(
        looked_at=states.looked_at,
        crop_stream=states.crop_stream,
        opened=states.opened,
        crops_large=report.enlarged,
        crops_small=report.crops - report.enlarged,
        detect_fault=states.detect_fault,
        crop_fault=states.crop_fault,
    )


def _drift_figures(drift: DriftReport) -> DriftFigures:
    verdict = drift.verdict
    return DriftFigures(
        state=verdict.state,
        unknown_tracks=verdict.tracks,
        shift=_rounded(verdict.shift, 2),
        fpir=_rounded(verdict.fpir, 4),
        threshold_advised=_similarity(drift.threshold_advised),
        adapts=drift.adapts,
    )


def event_line(payload: CameraEvent) -> str:
    """An event as a line of a JSON-lines file, less its line end: the bytes of the MQTT payload."""
    return payload.to_json()


def rfc3339(utc_s: float) -> str:
    """Unix seconds → `2026-03-01T12:00:00.250Z`, to the nearest millisecond."""
    milliseconds = round(float(utc_s) * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    whole = moment.replace(microsecond=milliseconds % 1000 * 1000)
    return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _similarity(value: float | None) -> float | None:
    return None if value is None else _rounded(value, 4)


def wire_box(box: Box) -> tuple[float, float, float, float]:
    """A box as it is published, to a tenth of a pixel."""
    x1, y1, x2, y2 = (_rounded(edge, 1) for edge in (box.x1, box.y1, box.x2, box.y2))
    return x1, y1, x2, y2


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits) + 0.0  # which makes -0.0 a plain 0.0
