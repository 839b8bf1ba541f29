"""Builds an agent from its settings: models, gallery, camera, outputs, and the loop over all.

This is the one place where the rooms meet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge_reid.agent.annotated_film import AnnotatedFilm
from edge_reid.agent.between_frames import BetweenFrames
from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.camera_loop import CameraLoop
from edge_reid.agent.command_runner import CommandRunner, Reload
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.gallery_report import GalleryReport
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.observers import Observer, Observers
from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.agent.run_report import RunReport
from edge_reid.agent.signals import StopSignals
from edge_reid.agent.source_digest import source_digest
from edge_reid.agent.systemd import SystemdNotifier
from edge_reid.agent.uplink import Uplink
from edge_reid.core.config import AgentSettings, CameraSettings, ModelSettings
from edge_reid.core.errors import UsageError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.signing.keys import read_public_key
from edge_reid.signing.model_signature import is_signed
from edge_reid.strangers.name_giver import NameGiver
from edge_reid.strangers.purge import StrangerPurge
from edge_reid.strangers.recogniser import StrangerRecogniser
from edge_reid.vision.annotate import VideoWriter
from edge_reid.vision.capture import FrameSource, open_source
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.embed import Embedder
from edge_reid.wire.events import EventOrigin
from edge_reid.wire.topics import Address

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a run leaves besides MQTT messages."""

    events: str | None = None
    """File of JSON lines, or `-` for standard output."""
    annotate: Path | None = None
    """Video with boxes, track numbers and decisions."""


def run_agent(
    settings: AgentSettings,
    *,
    outputs: Outputs,
    observers: Sequence[Observer] = (),
    reload: Reload | None = None,
) -> RunSummary:
    """Run one camera to the end of its source.

    `reload` reads the settings anew when a command asks for it; without it they stay as they are.

    Ctrl-C and SIGTERM end the open tracks, say `offline` and leave as KeyboardInterrupt and
    SystemExit.

    Raises:
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
) -> CameraLoop:
    name, camera_settings = _only_camera(settings)
    models = _load_models(settings, camera_settings)
    manifest = models.embedder.manifest
    gallery = _open_gallery(settings, manifest, stack)
    systemd = SystemdNotifier.from_environment()
    # a service starts before the network, and outlives a camera that is away
    is_patient = systemd.is_heard and outputs.annotate is None
    camera = _open_camera(camera_settings, is_patient=is_patient, stack=stack)
    sinks = _open_sinks(
        settings, outputs, name, camera=camera, gallery=gallery, manifest=manifest, stack=stack
    )
    pipeline = _build_pipeline(camera_settings, models, gallery, camera)
    between_frames = _build_between_frames(settings, gallery, sinks, reload, stack)
    report = RunReport(
        settings,
        name,
        frames=camera.frames,
        counters=pipeline.counters,
        uplink=sinks.uplink,
        observers=stack.enter_context(_gather_observers(observers, outputs, camera.source)),
        systemd=systemd,
    )
    return CameraLoop(
        frames=camera.frames,
        pipeline=pipeline,
        between_frames=between_frames,
        output=sinks.output,
        report=report,
        signals=signals,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    detector: Detector
    embedder: Embedder


@dataclass(frozen=True, slots=True, eq=False)
class _Gallery:
    policies: PolicyHolder
    sync: GallerySync | None
    feed: GallerySync | GalleryWatch


@dataclass(frozen=True, slots=True, eq=False)
class _Camera:
    source: FrameSource
    clock: SteadyClock
    frames: CameraFrames


@dataclass(frozen=True, slots=True, eq=False)
class _Sinks:
    uplink: Uplink | None
    facts: AgentFacts
    names: NameGiver
    output: EventOutput


def _only_camera(settings: AgentSettings) -> tuple[str, CameraSettings]:
    if len(settings.cameras) > 1:
        raise UsageError(
            f"cameras: expected one, got {', '.join(settings.cameras)}; several in one agent are "
            "read, but do not run yet: start an agent for each"
        )
    return next(iter(settings.cameras.items()))


def _load_models(settings: AgentSettings, camera: CameraSettings) -> _Models:
    models = settings.models
    _check_signatures(models)
    embedder = Embedder(models.embedding, runtime=models.runtime, threads=models.threads)
    detector = load_detector(
        camera.detect.model or models.detector,
        runtime=models.runtime,
        threads=models.threads,
        strong_score=camera.detect.strong_score,
        weak_score=camera.detect.weak_score,
    )
    return _Models(detector, embedder)


def _check_signatures(models: ModelSettings) -> None:
    """Raise ModelError if somebody else than the pinned key signed a model; say if nobody did."""
    if models.public_key is None:
        return
    key = read_public_key(models.public_key)
    for model in (models.detector, models.embedding):
        if not is_signed(model, key):
            _log.warning("model %s: nobody signed its manifest; pinned is %s", model, key.key_id)


def _open_gallery(
    settings: AgentSettings, manifest: EmbeddingManifest, stack: ExitStack
) -> _Gallery:
    """The gallery that the device has of its own, or the one that it follows."""
    sync = GallerySync.open(settings, manifest)
    feed = sync or GalleryWatch(settings.gallery, manifest.model_id)
    stack.enter_context(feed)
    newer = sync.take() if sync else None
    index = feed.first if newer is None else newer
    policy = MatchPolicy(index, settings.decide, manifest.impostor_quantiles)
    return _Gallery(PolicyHolder(policy), sync, feed)


def _open_camera(settings: CameraSettings, *, is_patient: bool, stack: ExitStack) -> _Camera:
    clock = SteadyClock()
    source = stack.enter_context(open_source(settings.source, is_patient=is_patient, clock=clock))
    frames = CameraFrames(source, clock, stall_timeout_s=settings.source.stall_timeout_s)
    return _Camera(source, clock, frames)


def _open_sinks(
    settings: AgentSettings,
    outputs: Outputs,
    name: str,
    *,
    camera: _Camera,
    gallery: _Gallery,
    manifest: EmbeddingManifest,
    stack: ExitStack,
) -> _Sinks:
    """Where events go: to the outbox and its broker, and into a file of JSON lines."""
    version = gallery.policies.current.index.version
    address = Address(settings.mqtt.root, settings.site, settings.agent)
    facts = AgentFacts(manifest.model_id, version, started_utc_s=time.time(), cameras=(name,))
    uplink = Uplink.open(settings, address, facts, stack) if settings.mqtt.url else None
    names = StrangerRecogniser.open(
        settings, manifest, camera=name, is_live=camera.source.is_live, stack=stack
    ) or StrangerPurge(settings.strangers_path)
    recording = source_digest(settings.cameras[name].source.uri)
    output = EventOutput(
        EventOrigin(address, name, manifest.model_id, version, recording),
        gallery.policies,
        names=names,
        commit=uplink.publisher.publish if uplink else None,
        lines=outputs.events,
    )
    return _Sinks(uplink, facts, names, stack.enter_context(output))


def _build_pipeline(
    settings: CameraSettings, models: _Models, gallery: _Gallery, camera: _Camera
) -> Pipeline:
    return Pipeline(
        detector=models.detector,
        embedder=models.embedder,
        policies=gallery.policies,
        settings=settings,
        decision_clock=camera.clock.now if camera.source.is_live else None,
    )


def _build_between_frames(
    settings: AgentSettings, gallery: _Gallery, sinks: _Sinks, reload: Reload, stack: ExitStack
) -> BetweenFrames:
    policies, sync, uplink = gallery.policies, gallery.sync, sinks.uplink
    commands = report = None
    if uplink:
        report = GalleryReport(policies, sync, publisher=uplink.publisher, facts=sinks.facts)
    if uplink and uplink.inbox:
        commands = stack.enter_context(
            CommandRunner(uplink.inbox, settings, policies=policies, sync=sync, reload=reload)
        )
    return BetweenFrames(
        policies, gallery.feed, commands=commands, report=report, names=sinks.names
    )


def _gather_observers(
    observers: Sequence[Observer], outputs: Outputs, source: FrameSource
) -> Observers:
    if outputs.annotate is None:
        return Observers(observers, is_live=source.is_live)
    writer = VideoWriter(outputs.annotate, source.fps, source.size_px)
    return Observers([*observers, AnnotatedFilm(writer)], is_live=source.is_live)
