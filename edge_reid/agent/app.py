"""Builds an agent from its settings: models, gallery, cameras, outputs, and the loop over all.

This is the one place where the rooms meet.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_reid.agent.agent_loop import AgentLoop
from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.annotated_film import AnnotatedFilm, check_films, film_paths
from edge_reid.agent.between_frames import BetweenFrames, goes_on
from edge_reid.agent.camera_drifts import CameraDrifts
from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.camera_status_report import CameraStatusReport
from edge_reid.agent.camera_views import View, Views, live_count, open_views
from edge_reid.agent.command_runner import CommandRunner, Reload
from edge_reid.agent.drift_watch import DriftWatch
from edge_reid.agent.event_lines import EventLines
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.gallery_report import GalleryReport
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.agent.hit_pictures import HitPictures
from edge_reid.agent.live_feed import LiveFeed
from edge_reid.agent.look_pace import LookPace
from edge_reid.agent.lookers import Lookers, looker_count
from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.observers import Observer, Observers
from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.agent.recorded_feed import RecordedFeed
from edge_reid.agent.run_report import RunReport
from edge_reid.agent.shared_models import SharedModels
from edge_reid.agent.signals import StopSignals
from edge_reid.agent.source_digest import source_digest
from edge_reid.agent.stranger_sharing import StrangerSharing, first_state
from edge_reid.agent.stranger_withdrawal import StrangerWithdrawal
from edge_reid.agent.systemd import SystemdNotifier
from edge_reid.agent.uplink import Uplink
from edge_reid.agent.watched_camera import WatchedCamera
from edge_reid.agent.wrong_names import WrongNames
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.opencv import one_thread_each
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.threshold import BEYOND_MEASURED, BEYOND_MEASURED_REMEDY
from edge_reid.strangers.heard_stranger import nobody_else
from edge_reid.strangers.name_giver import NameGiver
from edge_reid.strangers.purge import StrangerPurge
from edge_reid.strangers.recogniser import StrangerRecogniser
from edge_reid.vision.annotate import VideoWriter
from edge_reid.wire.events import EventOrigin
from edge_reid.wire.topics import Address

_NOWHERE = (
    "events of this run go nowhere: expected --broker, --events, --web or --annotate, got none; "
    "--events - prints them"
)
_NOBODY = (
    "nobody is enrolled in the gallery, so everybody is unknown; edge-reid gallery enroll NAME "
    "PHOTO… enrols people, also while this runs"
)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a run leaves besides MQTT messages."""

    events: str | None = None
    """File of JSON lines, or `-` for standard output."""
    annotate: Path | None = None
    """Video with boxes, track numbers and decisions; of several cameras one each, so that its name
    has `{camera}` in it."""


def run_agent(
    settings: AgentSettings,
    *,
    outputs: Outputs,
    observers: Sequence[Observer] = (),
    reload: Reload | None = None,
) -> RunSummary:
    """Run the cameras of an agent to the end of their sources.

    `reload` reads the settings anew when a command asks for it; without it they stay as they are.

    Ctrl-C and SIGTERM end the open tracks, say `offline` and leave as KeyboardInterrupt and
    SystemExit.

    Raises:
        ModelChangeError: a gallery of another shipped model has come, and the settings name none.
            The open tracks have ended; run it anew, with the model of the gallery. Recordings, once
            they are begun, go on to their end.
        ModelError, GalleryError, SourceError, OutboxError, UsageError: it cannot start; or, once
            it runs, the source broke or a disk is full: what came before it was processed and
            published.
        StoreError: the file of JSON lines takes no more; as above.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignals())
        again = reload or (lambda: settings)
        loop = _build(settings, outputs, observers, reload=again, signals=signals, stack=stack)
        return loop.run()


def _build(
    settings: AgentSettings,
    outputs: Outputs,
    observers: Sequence[Observer],
    *,
    reload: Reload,
    signals: StopSignals,
    stack: ExitStack,
) -> AgentLoop:
    films = film_paths(outputs.annotate, tuple(settings.cameras)) if outputs.annotate else {}
    check_films(films.values(), [camera.source.uri for camera in settings.cameras.values()])
    count = looker_count(settings.models.threads, cameras=live_count(settings.cameras))
    if count > 1:
        one_thread_each()
    models = SharedModels(settings, count)
    manifest = models.embedder.manifest
    gallery = _open_gallery(settings, manifest, stack)
    systemd = SystemdNotifier.from_environment()
    # a service starts before the network, and outlives a camera that is away
    is_patient = (systemd.is_heard or len(settings.cameras) > 1) and not films
    pace = LookPace(settings.latency.captured_to_committed_p95_ms)
    views = open_views(settings.cameras, pace, lookers=count, is_patient=is_patient, stack=stack)
    sinks = _open_sinks(settings, outputs, views, gallery=gallery, manifest=manifest, stack=stack)
    pictures = [HitPictures()] if settings.home_assistant.pictures else []
    watching = stack.enter_context(_gather_observers([*observers, *pictures], films, views))
    drifts = CameraDrifts.open(
        settings,
        gallery.policies,
        manifest,
        notice=watching.camera_notice,
        are_live=views.are_live,
        stack=stack,
    )
    cameras = [
        _build_camera(
            settings,
            view,
            models=models,
            gallery=gallery,
            sinks=sinks,
            watching=watching,
            drift=drifts.of(view.name),
        )
        for view in views.all
    ]
    jobs = stack.enter_context(FrameJobs())
    own = None if gallery.sync else settings.gallery
    wrong_names = WrongNames(cameras, jobs, gallery.policies, own)
    parts = _parts_told(settings, cameras, gallery, sinks, wrong_names)
    watching.opened(parts)
    if not _has_output(settings, outputs):
        watching.notice(_NOWHERE)
    if settings.gallery_sync is None and not gallery.policies.first.index:
        watching.notice(_NOBODY)
    for name in settings.cameras:
        _tell_of_unmeasured(name, gallery.policies.of(name).current, watching)
    report = RunReport(settings, cameras, uplink=sinks.uplink, observers=watching, systemd=systemd)
    if settings.metrics:
        # most agents are not asked: they need neither the library nor its memory
        from edge_reid.agent.served_metrics import serve_metrics  # noqa: PLC0415

        serve_metrics(settings, parts, report=report, notice=watching.notice, stack=stack)
    return AgentLoop(
        cameras,
        LiveFeed(cameras, views.schedule) if views.are_live else RecordedFeed(cameras),
        stack.enter_context(Lookers(count, on_done=views.schedule.wake)),
        between_frames=_build_between_frames(
            settings,
            gallery,
            sinks,
            drifts,
            parts=parts,
            jobs=jobs,
            reload=reload,
            may_end=views.are_live and not films,
            stack=stack,
        ),
        report=report,
        signals=signals,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Gallery:
    policies: CameraPolicies
    sync: GallerySync | None
    feed: GallerySync | GalleryWatch


@dataclass(frozen=True, slots=True, eq=False)
class _Sinks:
    address: Address
    uplink: Uplink | None
    facts: AgentFacts
    names: Mapping[str, NameGiver]
    """By camera; they share a file."""
    lines: EventLines | None


def _open_gallery(
    settings: AgentSettings, manifest: EmbeddingManifest, stack: ExitStack
) -> _Gallery:
    """The gallery that the device has of its own, or the one that it follows."""
    thresholds = GalleryThresholds.of(manifest)
    sync = GallerySync.open(settings, manifest)
    feed = sync or GalleryWatch(settings.gallery, manifest.model_id, fuse=thresholds.fuse)
    stack.enter_context(feed)
    if sync:
        sync.check_model()
    newer = sync.take() if sync else None
    index = feed.first if newer is None else newer
    holders = {
        name: PolicyHolder(MatchPolicy(index, camera.decide, thresholds))
        for name, camera in settings.cameras.items()
    }
    return _Gallery(CameraPolicies(holders), sync, feed)


def _has_output(settings: AgentSettings, outputs: Outputs) -> bool:
    """Whether somebody or something can learn what the run finds."""
    configured = settings.mqtt.url, settings.web, settings.metrics
    return any((*configured, outputs.events, outputs.annotate))


def _tell_of_unmeasured(camera: str, policy: MatchPolicy, watching: Observers) -> None:
    """Who asks for fewer wrong names than the model was measured for gets few names, or none."""
    if policy.is_measured:
        return
    watching.camera_notice(
        camera,
        f"camera {camera}: the threshold {policy.threshold:.3f} for a target_fpir of "
        f"{policy.rules.target_fpir:g} {BEYOND_MEASURED}; {BEYOND_MEASURED_REMEDY}",
    )


def _open_sinks(
    settings: AgentSettings,
    outputs: Outputs,
    views: Views,
    *,
    gallery: _Gallery,
    manifest: EmbeddingManifest,
    stack: ExitStack,
) -> _Sinks:
    """Where events go: to the outbox and its broker, and into a file of JSON lines."""
    address = Address(settings.mqtt.root, settings.site, settings.agent)
    facts = AgentFacts(
        manifest.model_id,
        gallery.policies.index.version,
        started_utc_s=time.time(),
        cameras=tuple(settings.cameras),
    )
    begins = first_state(settings, is_live=views.are_live)
    has_broker = bool(settings.mqtt.url)
    uplink = Uplink.open(settings, address, facts, stack, strangers=begins) if has_broker else None
    nobody = StrangerPurge(settings.strangers_path)
    sharing = StrangerSharing.open(settings, manifest, uplink, is_live=views.are_live)
    if views.are_live and not sharing:
        StrangerWithdrawal.start(settings, manifest, uplink, stack)
    names = {
        name: StrangerRecogniser.open(
            settings,
            manifest,
            camera=name,
            is_live=views.are_live,
            stack=stack,
            others=sharing.others if sharing else nobody_else,
        )
        or nobody
        for name in settings.cameras
    }
    if sharing:
        stack.enter_context(sharing)
    lines = stack.enter_context(EventLines(outputs.events)) if outputs.events else None
    return _Sinks(address, uplink, facts, names, lines)


def _build_camera(
    settings: AgentSettings,
    view: View,
    *,
    models: SharedModels,
    gallery: _Gallery,
    sinks: _Sinks,
    watching: Observers,
    drift: DriftWatch | None,
) -> WatchedCamera:
    ours, name = settings.cameras[view.name], view.name
    policies, embedder = gallery.policies.of(name), models.embedder
    clock = view.clock.now if view.source.is_live else None
    origin = EventOrigin(
        sinks.address,
        name,
        embedder.manifest.model_id,
        gallery.policies.index.version,
        source_digest(ours.source.uri),
    )
    pipeline = Pipeline(
        name,
        detector=models.detector_of(name),
        embedder=embedder,
        policies=policies,
        settings=ours,
        decision_clock=clock,
        drift=drift,
        closeups=view.two_streams,
    )
    return WatchedCamera(
        name,
        frames=view.frames,
        pipeline=pipeline,
        output=EventOutput(
            origin,
            policies,
            names=sinks.names[name],
            commit=sinks.uplink.publisher.publish if sinks.uplink else None,
            lines=sinks.lines,
            clock=clock,
        ),
        status=CameraStatusReport(
            name,
            frames=view.frames,
            looks=view.looks,
            uplink=sinks.uplink,
            notice=partial(watching.camera_notice, name),
            counters=pipeline.counters,
            drift=drift,
            hours=view.hours,
        ),
        looks=view.looks,
        drift=drift,
    )


def _parts_told(
    settings: AgentSettings,
    cameras: Sequence[WatchedCamera],
    gallery: _Gallery,
    sinks: _Sinks,
    wrong_names: WrongNames,
) -> AgentParts:
    return AgentParts(
        settings.site,
        settings.agent,
        cameras,
        gallery.policies,
        gallery.sync,
        sinks.uplink,
        sinks.facts,
        wrong_names,
    )


def _build_between_frames(
    settings: AgentSettings,
    gallery: _Gallery,
    sinks: _Sinks,
    drifts: CameraDrifts,
    *,
    parts: AgentParts,
    jobs: FrameJobs,
    reload: Reload,
    may_end: bool,
    stack: ExitStack,
) -> BetweenFrames:
    """`may_end`: it can be started anew, as no recording and no film would begin from its start."""
    policies, sync, uplink = gallery.policies, gallery.sync, sinks.uplink
    report = None
    if uplink:
        report = GalleryReport(policies, sync, publisher=uplink.publisher, facts=sinks.facts)
    if uplink and uplink.inbox:
        commands = CommandRunner(
            uplink.inbox,
            settings,
            policies=policies,
            sync=sync,
            jobs=jobs,
            wrong_names=parts.wrong_names,
            reload=reload,
        )
        stack.enter_context(commands)
    one_for_all = next(iter(sinks.names.values()))  # they share a file, of which one forgets
    return BetweenFrames(
        policies,
        gallery.feed,
        outputs=[camera.output for camera in parts.cameras],
        jobs=jobs,
        report=report,
        names=one_for_all,
        scores=drifts.file,
        check_model=sync.check_model if sync and may_end else goes_on,
    )


def _gather_observers(
    observers: Sequence[Observer], films: Mapping[str, Path], views: Views
) -> Observers:
    if closed := [view.name for view in views.all if films and 0 in view.source.size_px]:
        raise UsageError(
            f"--annotate: expected cameras that are watched now, got {', '.join(closed)}; start "
            "within their hours (active), or leave it out"
        )
    shot = [
        AnnotatedFilm(view.name, VideoWriter(films[view.name], view.film_fps, view.source.size_px))
        for view in views.all
        if films
    ]
    return Observers([*observers, *shot], is_live=views.are_live)
