"""How cameras and device do, as the page tells it once a second."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.corrections import PublishedName
from edge_reid.agent.drift_watch import drift_in_words
from edge_reid.agent.watched_camera import WatchedCamera
from edge_reid.agent.wrong_names import TakenBack
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.types import Decision, Known, Uncertain, Unknown
from edge_reid.matching.score_drift import DriftReport
from edge_reid.web.hit_record import HitRecord
from edge_reid.web.live_view import CameraView, LiveView
from edge_reid.wire.events import CameraReport, rfc3339

_MOST_LINES = 24
"""Of the newest hits."""


@dataclass(frozen=True, slots=True)
class PersonLine:
    """Somebody in view."""

    track_id: int
    kind: str
    """`known`, `unknown` or `undecided`."""
    identity: str | None
    similarity: float | None
    threshold: float | None
    slight_margin: float | None
    """How far the best identity is ahead of the next, where that is too little to decide."""


@dataclass(frozen=True, slots=True)
class CameraLine:
    """How a camera does."""

    camera: str
    state: str
    reason: str | None
    """The trouble it has, or until when it is not watched, in words."""
    fps: float | None
    p95_ms: float | None
    """From the capture of a frame to the commit of what it brought, of live cameras."""
    dropped: int
    slowed: str | None
    """What is given up as the device is too slow for more, in words."""
    quiet_s: float | None
    """Since the last frame went through."""
    people: tuple[PersonLine, ...]
    drift: str | None
    """Unknown people are more or less alike than the model was measured on, in words."""


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """How the device does."""

    gallery_version: int
    people: int
    templates: int
    gallery_age_s: float | None
    """Since the gallery was published, or its file written."""
    gallery_trouble: str | None
    outbox_depth: int | None
    """None: there is no broker."""
    outbox_dropped: int | None
    broker: str
    broker_trouble: str | None


@dataclass(frozen=True, slots=True)
class HitLine:
    """A hit in the list of the newest."""

    number: int
    camera: str
    kind: str
    identity: str | None
    similarity: float | None
    threshold: float
    at: str
    is_over: bool
    """Whether the person has left."""
    crop: int | None
    """Position of the crop that decided, where it is kept."""
    zones: tuple[str, ...]
    """In which the person stood."""
    is_taken_back: bool
    """Whether an operator said that it was somebody else."""


def camera_lines(parts: AgentParts, view: LiveView, now_s: float) -> tuple[CameraLine, ...]:
    """All cameras, in the order of the configuration.

    Args:
        parts: of the agent.
        view: what the page has seen.
        now_s: monotonic.
    """
    return tuple(
        _camera_line(
            camera, view.camera(camera.name), now_s, parts.policies.of(camera.name).current.rules
        )
        for camera in parts.cameras
    )


def device_line(parts: AgentParts, gallery: Path) -> DeviceLine:
    """The device.

    Args:
        parts: of the agent.
        gallery: the file of a gallery that is not synced.
    """
    index, uplink = parts.policies.index, parts.uplink
    figures = uplink.outbox.figures if uplink else None
    link = uplink.publisher.state if uplink else None
    published_utc_s = parts.sync.state.created_utc_s if parts.sync else _written_utc_s(gallery)
    return DeviceLine(
        gallery_version=index.version,
        people=len(index.identities),
        templates=len(index),
        gallery_age_s=None if published_utc_s is None else max(0.0, time.time() - published_utc_s),
        gallery_trouble=parts.sync.state.refused if parts.sync else None,
        outbox_depth=figures.depth if figures else None,
        outbox_dropped=figures.dropped if figures else None,
        broker=link.link.value if link else "none configured",
        broker_trouble=(link.reason or None) if link else None,
    )


def hit_lines(records: Sequence[HitRecord], taken: Sequence[TakenBack]) -> tuple[HitLine, ...]:
    """The first hits, in their order.

    Args:
        records: newest first.
        taken: names that operators have taken back.
    """
    wrong = {one.name for one in taken}
    return tuple(_hit_line(record, wrong) for record in records[:_MOST_LINES])


def _hit_line(record: HitRecord, wrong: Container[PublishedName]) -> HitLine:
    decision = record.decision
    return HitLine(
        number=record.number,
        camera=record.camera,
        kind="known" if isinstance(decision, Known) else "unknown",
        identity=decision.identity if isinstance(decision, Known) else None,
        similarity=_rounded(decision.similarity),
        threshold=round(decision.threshold, 3),
        at=rfc3339(record.captured_utc_s),
        is_over=record.kind.value == "end",
        crop=record.shown_crop,
        zones=record.zones,
        is_taken_back=record.published_name in wrong,
    )


def _camera_line(
    camera: WatchedCamera, seen: CameraView | None, now_s: float, rules: DecideSettings
) -> CameraLine:
    report = camera.status.latest
    decisions = seen.step.decisions if seen else {}
    tracks = seen.step.tracks if seen else ()
    return CameraLine(
        camera=camera.name,
        state=report.state,
        reason=report.reason or _rest_in_words(report.inactive_until_utc_s),
        fps=None if report.fps is None else round(report.fps, 1),
        p95_ms=report.looks.p95_ms if report.looks else None,
        dropped=report.frames_dropped,
        slowed=_slowed_in_words(report),
        quiet_s=round(now_s - seen.seen_s, 1) if seen else None,
        people=tuple(person_line(track.track_id, decisions, rules) for track in tracks),
        drift=_drift_line(report.drift),
    )


def _slowed_in_words(report: CameraReport) -> str | None:
    looks = report.looks
    if report.state != "running" or looks is None or not looks.is_degraded:
        return None
    return (
        f"Slowed down: {looks.present_hz:.1f} pictures a second are looked at, in place of "
        f"{looks.wanted_hz:g}, as this device has no time for more."
    )


def _drift_line(drift: DriftReport | None) -> str | None:
    if drift is None or drift.verdict.state == "none":
        return None
    line = drift_in_words(drift.verdict, drift.threshold_advised)
    return f"{line}; it is used" if drift.adapts else line


def person_line(
    track_id: int, decisions: Mapping[int, Decision], rules: DecideSettings
) -> PersonLine:
    """Somebody in view, by what is decided of their track until now."""
    match decisions.get(track_id):
        case Known(identity, similarity, threshold):
            return PersonLine(track_id, "known", identity, _rounded(similarity), threshold, None)
        case Unknown(similarity, threshold):
            return PersonLine(track_id, "unknown", None, _rounded(similarity), threshold, None)
        case Uncertain(candidate, threshold, margin):
            similarity = _rounded(candidate.similarity if candidate else None)
            slight = margin if margin is not None and margin < rules.min_margin else None
            return PersonLine(track_id, "undecided", None, similarity, threshold, _rounded(slight))
    return PersonLine(track_id, "undecided", None, None, None, None)


def _rounded(similarity: float | None) -> float | None:
    return None if similarity is None else round(similarity, 3)


def _rest_in_words(until_utc_s: float | None) -> str | None:
    """`not watched until Mon 07:00`, by the clock of the device."""
    if until_utc_s is None:
        return None
    return f"not watched until {time.strftime('%a %H:%M', time.localtime(until_utc_s))}"


def _written_utc_s(path: Path) -> float | None:
    with suppress(OSError):
        return path.stat().st_mtime
    return None
