"""What Prometheus is told: values that the agent keeps anyway, read when they are asked for.

Of the thread that is asked (`metrics_server`). It reads counters that one other thread writes, and
values that are replaced as a whole; it takes no turn between two frames. No name of a person is
among the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge_reid import __version__
from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.histogram import HistogramCounts
from edge_reid.agent.temperature import temperatures_celsius
from edge_reid.agent.uplink import Uplink
from edge_reid.agent.watched_camera import WatchedCamera
from edge_reid.core.errors import OutboxError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import Link
from edge_reid.matching.score_drift import DriftState
from edge_reid.wire.events import CameraState

Labelled: TypeAlias = tuple[tuple[str, ...], float]
"""Values of the labels, and the sample."""


class AgentCollector(Collector):
    """The metrics of an agent, as they are at each `collect`."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """All families; one of which nothing is known has no sample."""
        cameras, parts = self._parts.cameras, self._parts
        yield _build_info(parts)
        yield from _frames(cameras)
        yield from _states(cameras)
        yield from _people(cameras)
        yield from _drift(cameras)
        yield from _durations(cameras)
        yield from _gallery(parts)
        yield from _delivery(parts.uplink)
        yield _gauge(
            "temperature_celsius",
            "Temperature that the kernel measures, by sensor.",
            ("sensor",),
            [((sensor,), celsius) for sensor, celsius in temperatures_celsius()],
        )


def _build_info(parts: AgentParts) -> Metric:
    names = ("version", "model_id", "site", "agent")
    values = (__version__, parts.model_id, parts.site, parts.agent)
    return _gauge("build_info", "Always 1; what runs here.", names, [(values, 1)])


def _frames(cameras: Iterable[WatchedCamera]) -> Iterator[Metric]:
    yield _counter(
        "frames",
        "Frames that were looked at, or came between two looks.",
        ("camera",),
        [((camera.name,), camera.frames.processed) for camera in cameras],
    )
    yield _counter(
        "frames_dropped",
        "Frames that were to be looked at when newer ones came, and damaged ones.",
        ("camera",),
        [((camera.name,), camera.frames.dropped) for camera in cameras],
    )
    yield _gauge(
        "last_frame_timestamp_seconds",
        "When the last frame was taken, Unix time; of a recording by its own clock.",
        ("camera",),
        _known(((camera.name,), camera.frames.last_utc_s) for camera in cameras),
    )


def _states(cameras: Iterable[WatchedCamera]) -> Iterator[Metric]:
    latest = {camera.name: camera.status.latest for camera in cameras}
    yield _gauge(
        "camera_state",
        "1 for the state that a camera is in, 0 for the others.",
        ("camera", "state"),
        [
            ((name, state), report.state == state)
            for name, report in latest.items()
            for state in get_args(CameraState)
        ],
    )
    yield _gauge(
        "camera_fault",
        "1 for what is wrong with a camera; no sample when nothing is.",
        ("camera", "fault"),
        [((name, report.fault), 1) for name, report in latest.items() if report.fault],
    )
    streams = {name: report.streams for name, report in latest.items() if report.streams}
    yield _gauge(
        "crop_stream_open",
        "1 while the large stream of a camera of two is open or opened.",
        ("camera",),
        [((name,), report.states.crop_stream != "closed") for name, report in streams.items()],
    )
    looks = {name: report.looks for name, report in latest.items() if report.looks}
    yield _gauge(
        "camera_degraded",
        "1 while looks or crops are given up to keep the promised latency; of live cameras.",
        ("camera",),
        [((name,), report.is_degraded) for name, report in looks.items()],
    )
    yield _gauge(
        "looks_per_second",
        "Looks at a live camera, over the last half minute.",
        ("camera",),
        [((name,), report.present_hz) for name, report in looks.items()],
    )
    yield _gauge(
        "looks_wanted_per_second",
        "Looks at a live camera, as configured.",
        ("camera",),
        [((name,), report.wanted_hz) for name, report in looks.items()],
    )


def _people(cameras: Iterable[WatchedCamera]) -> Iterator[Metric]:
    counters = {camera.name: camera.counters for camera in cameras}
    plain = {
        "detector_runs": ("Runs of the detector.", "detections_run"),
        "detections": ("People that the detector found, frame by frame.", "detections"),
        "embeddings": ("Crops that were embedded.", "embeddings"),
        "compared_crops": ("Of these, crops that only told the tracker who is who.", "compared"),
        "uncompared_crops": ("Crops that would have, for which no time was left.", "uncompared"),
        "enlarged_crops": ("Crops from the large stream of a camera of two.", "enlarged"),
        "tracks": ("Tracks that have ended.", "tracks"),
    }
    for name, (meaning, field) in plain.items():
        samples = [((camera,), getattr(ours, field)) for camera, ours in counters.items()]
        yield _counter(name, meaning, ("camera",), samples)
    kinds = {"known": "known_tracks", "unknown": "unknown_tracks", "uncertain": "uncertain_tracks"}
    yield _counter(
        "decisions",
        "Tracks that have ended, by what was decided of them.",
        ("camera", "kind"),
        [
            ((camera, kind), getattr(ours, field))
            for camera, ours in counters.items()
            for kind, field in kinds.items()
        ],
    )
    yield _histogram(
        "unknown_similarity",
        "Cosine similarity of tracks decided unknown and whoever enrolled was nearest.",
        ("camera",),
        [((camera,), ours.unknown_similarities.counts) for camera, ours in counters.items()],
    )


def _drift(cameras: Iterable[WatchedCamera]) -> Iterator[Metric]:
    found = {camera.name: camera.status.latest.drift for camera in cameras}
    reports = {name: report for name, report in found.items() if report}
    yield _gauge(
        "score_drift",
        "1 for what similarities of unknown people have done, against the model's manifest.",
        ("camera", "state"),
        [
            ((name, state), report.verdict.state == state)
            for name, report in reports.items()
            for state in get_args(DriftState)
        ],
    )
    yield _gauge(
        "score_shift",
        "Similarity by which unknown people are more alike to those enrolled than measured.",
        ("camera",),
        [((name,), report.verdict.shift) for name, report in reports.items()],
    )
    yield _gauge(
        "decision_threshold_advised",
        "Threshold that would keep the accepted rate; no sample when there is no drift.",
        ("camera",),
        _known(((name,), report.threshold_advised) for name, report in reports.items()),
    )


def _durations(cameras: Iterable[WatchedCamera]) -> Iterator[Metric]:
    yield _histogram(
        "stage_duration_seconds",
        "Time that a stage took for a frame.",
        ("camera", "stage"),
        [
            ((camera.name, stage), counts)
            for camera in cameras
            for stage, counts in camera.stages.seconds.items()
        ],
    )
    yield _histogram(
        "commit_latency_seconds",
        "Time from the capture of a frame to the commit of what it brought; of live cameras.",
        ("camera",),
        [((camera.name,), camera.looks.commits.counts) for camera in cameras if camera.looks],
    )


def _gallery(parts: AgentParts) -> Iterator[Metric]:
    index = parts.policies.index
    yield _gauge("gallery_version", "Of the gallery in force.", (), [((), index.version)])
    yield _gauge("gallery_identities", "People enrolled.", (), [((), len(index.templates_each))])
    yield _gauge("gallery_templates", "Of all people.", (), [((), sum(index.templates_each))])
    state = parts.sync.state if parts.sync else None
    yield _gauge(
        "gallery_created_timestamp_seconds",
        "When the gallery in force was published, Unix time; of a gallery that is synced.",
        (),
        _known([((), state.created_utc_s if state else None)]),
    )
    yield _gauge(
        "gallery_checked_timestamp_seconds",
        "When its source last said which gallery is the newest, Unix time.",
        (),
        _known([((), state.checked_utc_s if state else None)]),
    )
    yield _gauge(
        "gallery_refused",
        "1 while the newest gallery is refused, 0 while it is in force.",
        (),
        _known([((), state.refused is not None if state else None)]),
    )
    yield _gauge(
        "decision_threshold",
        "Least cosine similarity of a known identity, in force.",
        ("camera",),
        [
            ((camera.name,), parts.policies.of(camera.name).current.threshold)
            for camera in parts.cameras
        ],
    )


def _delivery(uplink: Uplink | None) -> Iterator[Metric]:
    """Without a broker the families are there, and empty."""
    yield from _outbox(uplink)
    link = uplink.publisher.state.link if uplink else None
    yield _gauge(
        "broker_connected",
        "1 while the broker is there.",
        (),
        [((), link is Link.ONLINE)] if link else [],
    )
    yield _gauge(
        "broker_state",
        "1 for how it stands with the broker, 0 for the others.",
        ("state",),
        [((state.value,), state is link) for state in Link if link],
    )
    yield _counter(
        "events_replayed",
        "Events that were sent after they had waited for a connection.",
        (),
        [((), uplink.publisher.replayed)] if uplink else [],
    )


def _outbox(uplink: Uplink | None) -> Iterator[Metric]:
    figures = [uplink.outbox.figures] if uplink else []
    age_s = _oldest_age_s(uplink.outbox) if uplink else None
    yield _gauge("outbox_events", "Events that wait.", (), [((), of.depth) for of in figures])
    yield _gauge("outbox_bytes", "Of the events that wait.", (), [((), of.bytes) for of in figures])
    yield _gauge(
        "outbox_oldest_event_age_seconds",
        "Since the oldest event that waits was committed; 0 when none waits.",
        (),
        _known([((), age_s)]),
    )
    yield _counter(
        "events_committed",
        "Events ever taken into the outbox.",
        (),
        [((), of.last_seq) for of in figures],
    )
    yield _counter(
        "events_dropped",
        "Events ever lost to the caps of the outbox, to the disk or to damage.",
        (),
        [((), of.dropped) for of in figures],
    )


def _oldest_age_s(outbox: Outbox) -> float | None:
    try:
        return outbox.oldest_age_s or 0.0
    except OutboxError:  # the disk fails, as the log says
        return None


def _known(samples: Iterable[tuple[tuple[str, ...], float | None]]) -> list[Labelled]:
    return [(labels, value) for labels, value in samples if value is not None]


def _gauge(name: str, meaning: str, labels: tuple[str, ...], samples: Iterable[Labelled]) -> Metric:
    return _filled(GaugeMetricFamily(f"edge_reid_{name}", meaning, labels=labels), samples)


def _counter(
    name: str, meaning: str, labels: tuple[str, ...], samples: Iterable[Labelled]
) -> Metric:
    return _filled(CounterMetricFamily(f"edge_reid_{name}", meaning, labels=labels), samples)


def _filled(family: Any, samples: Iterable[Labelled]) -> Metric:
    for labels, value in samples:
        family.add_metric(labels, float(value))
    return family  # type: ignore[no-any-return]


def _histogram(
    name: str,
    meaning: str,
    labels: tuple[str, ...],
    samples: Iterable[tuple[tuple[str, ...], HistogramCounts]],
) -> Metric:
    family = HistogramMetricFamily(f"edge_reid_{name}", meaning, labels=labels)
    for values, counts in samples:
        ends = (*map(str, counts.bounds), "+Inf")
        family.add_metric(values, list(zip(ends, counts.cumulated, strict=True)), counts.total)
    return family
