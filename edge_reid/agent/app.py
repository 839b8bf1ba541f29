"""Builds an agent from its settings and runs it until its source ends or somebody stops it.

This is the one place where the rooms meet: source → pipeline → herald → outbox → MQTT.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_reid.agent.changeover import Changeover
from edge_reid.agent.command_runner import CommandRunner, Reload
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.agent.metrics import Counters, FrameRate, RunSummary
from edge_reid.agent.pipeline import Pipeline, Step
from edge_reid.agent.policy import Standard
from edge_reid.agent.signals import StopSignals
from edge_reid.agent.source_digest import source_digest
from edge_reid.agent.systemd import SystemdNotifier
from edge_reid.agent.uplink import Uplink
from edge_reid.core.camera_fault import CameraFault, FaultKind
from edge_reid.core.config import AgentSettings, ModelSettings
from edge_reid.core.errors import EdgeReidError
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.types import Frame, Hit
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.matching.index import Index
from edge_reid.signing.keys import read_public_key
from edge_reid.signing.model_signature import is_signed
from edge_reid.strangers.purge import StrangerPurge
from edge_reid.strangers.recogniser import StrangerRecogniser
from edge_reid.vision.annotate import VideoWriter, draw, label_for
from edge_reid.vision.capture import FrameSource, open_source
from edge_reid.vision.detect import load_detector
from edge_reid.vision.embed import Embedder
from edge_reid.wire.events import CameraReport, CameraState, EventOrigin, camera_status_message
from edge_reid.wire.topics import Address

_log = logging.getLogger(__name__)

STATUS_INTERVAL_S = 10.0
_LEAST_STATUS_PAUSE_S = 1.0
"""What changes is told at once, but no more often."""
_WITHOUT_START_TIME = (
    "without --start-time the first frame of a file counts as taken on 1970-01-01, and so do its"
    " events"
)
_NO_PICTURE_YET = CameraFault("no-picture", "no picture has come yet; it is waited for")
BROKER_GRACE_S = 3.0
"""A file waits so long for the broker before its first frame, so that its events are not late."""
INTERRUPTED_FLUSH_S = 5.0
"""Who presses Ctrl-C waits so long at most for the last events to leave; the rest stay safe."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a run leaves besides MQTT messages."""

    events: str | None = None
    """File of JSON lines, or `-` for standard output."""
    annotate: Path | None = None
    """Video with boxes, track numbers and decisions."""


class Observer(Protocol):
    """Whoever watches a run."""

    def started(self, camera: str, frames_expected: int | None, /) -> None:
        """The source is open; None expects frames for ever."""

    def stepped(self, step: Step, /) -> None:
        """A frame went through."""

    def notice(self, line: str, /) -> None:
        """Something a person should know now."""

    def interrupted(self, summary: RunSummary, /) -> None:
        """Somebody ended the run before its source did; this is what it brought."""


def run_agent(
    settings: AgentSettings, *, outputs: Outputs, observer: Observer, reload: Reload | None = None
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
        interrupts = stack.enter_context(StopSignals())
        again = reload or (lambda: settings)
        agent = _build(
            settings, outputs, observer, interrupts=interrupts, reload=again, stack=stack
        )
        return agent.run()


def _build(
    settings: AgentSettings,
    outputs: Outputs,
    observer: Observer,
    *,
    interrupts: StopSignals,
    reload: Reload,
    stack: ExitStack,
) -> _Agent:
    models = settings.models
    _check_signatures(models)
    embedder = Embedder(models.embedding, runtime=models.runtime, threads=models.threads)
    detector = load_detector(
        models.detector,
        runtime=models.runtime,
        threads=models.threads,
        strong_score=settings.detect.strong_score,
        weak_score=settings.detect.weak_score,
    )
    model_id = embedder.manifest.model_id
    sync = GallerySync.open(settings, embedder.manifest)
    watch = None if sync else stack.enter_context(GalleryWatch(settings.gallery, model_id))
    index = watch.first if watch else _first_of(sync, stack)
    heartbeat = SystemdNotifier.from_environment()
    # a service starts before the network, and outlives a camera that is away
    is_patient = heartbeat.is_heard and outputs.annotate is None
    clock = SteadyClock()
    source = stack.enter_context(open_source(settings.source, is_patient=is_patient, clock=clock))
    address = Address(settings.mqtt.root, settings.site, settings.agent)
    facts = AgentFacts(
        model_id, index.version, started_utc_s=time.time(), cameras=(settings.camera,)
    )
    uplink = Uplink.open(settings, address, facts, stack) if settings.mqtt.url else None
    recording = source_digest(settings.source.uri)
    origin = EventOrigin(address, settings.camera, model_id, index.version, recording)
    commit = uplink.publisher.publish if uplink else None
    standard = Standard(embedder.manifest, settings.decide)
    pipeline = Pipeline(
        detector=detector,
        embedder=embedder,
        index=index,
        threshold=standard.threshold_of(index),
        settings=settings,
        decision_clock=clock.now if source.is_live else None,
    )
    herald = stack.enter_context(EventOutput(origin, commit=commit, lines=outputs.events))
    changeover = Changeover(
        sync,
        index,
        pipeline=pipeline,
        herald=herald,
        uplink=uplink,
        facts=facts,
        threshold_of=standard.threshold_of,
        watch=watch,
    )
    steward = None
    if uplink and uplink.desk:
        steward = CommandRunner(
            uplink.desk,
            settings,
            pipeline=pipeline,
            standard=standard,
            changeover=changeover,
            sync=sync,
            reload=reload,
        )
        stack.enter_context(steward)
    doorman = StrangerRecogniser.open(
        settings,
        embedder.manifest,
        is_live=source.is_live,
        min_crops=lambda: pipeline.min_crops,
        stack=stack,
    )
    return _Agent(
        settings,
        source=source,
        clock=clock,
        pipeline=pipeline,
        herald=herald,
        uplink=uplink,
        changeover=changeover,
        doorman=doorman or StrangerPurge(settings.strangers_path),
        steward=steward,
        film=_film(outputs.annotate, source, stack),
        observer=observer,
        interrupts=interrupts,
        heartbeat=heartbeat,
    )


def _check_signatures(models: ModelSettings) -> None:
    """Raise ModelError if somebody else than the pinned key signed a model; say if nobody did."""
    if models.public_key is None:
        return
    key = read_public_key(models.public_key)
    for model in (models.detector, models.embedding):
        if not is_signed(model, key):
            _log.warning("model %s: nobody signed its manifest; pinned is %s", model, key.key_id)


def _first_of(sync: GallerySync | None, stack: ExitStack) -> Index:
    """What sync has by now."""
    assert sync is not None, "who does not sync has a gallery to watch"  # noqa: S101
    stack.enter_context(sync)
    newer = sync.take()
    return sync.first if newer is None else newer


def _film(path: Path | None, source: FrameSource, stack: ExitStack) -> VideoWriter | None:
    return stack.enter_context(VideoWriter(path, source.fps, source.size_px)) if path else None


class _Agent:
    """One camera at work."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        source: FrameSource,
        clock: SteadyClock,
        pipeline: Pipeline,
        herald: EventOutput,
        uplink: Uplink | None,
        changeover: Changeover,
        doorman: StrangerRecogniser | StrangerPurge,
        steward: CommandRunner | None,
        film: VideoWriter | None,
        observer: Observer,
        interrupts: StopSignals,
        heartbeat: SystemdNotifier,
    ) -> None:
        self._settings = settings
        self._source = source
        self._clock = clock
        self._pipeline = pipeline
        self._herald = herald
        self._uplink = uplink
        self._changeover = changeover
        self._doorman = doorman
        self._steward = steward
        self._film = film
        self._observer = observer
        self._interrupts = interrupts
        self._heartbeat = heartbeat
        self._began_s = time.monotonic()
        self._rate = FrameRate()
        self._next_status_s = 0.0
        self._told: tuple[CameraState, FaultKind | None] | None = None
        self._last_frame_s: float | None = None
        self._frame_size_px: tuple[int, int] | None = None
        self._video_span_utc_s: tuple[float, float] | None = None

    def run(self) -> RunSummary:
        if self._uplink:
            self._greet(self._uplink)
        self._observer.started(self._settings.camera, self._source.frames_expected)
        if not self._source.is_live and self._settings.source.start_time is None:
            self._observer.notice(_WITHOUT_START_TIME)
        self._began_s, self._rate = time.monotonic(), FrameRate()
        self._source.idle = self._idle
        try:
            for frame in self._source:
                with self._interrupts.held():
                    self._handle(frame)
        except (KeyboardInterrupt, SystemExit):
            self._observer.interrupted(self._wind_up("ended", flush_s=INTERRUPTED_FLUSH_S))
            raise
        except (EdgeReidError, OSError) as error:
            self._wind_up("failed", reason=str(error))
            raise
        return self._wind_up("ended")

    def _greet(self, uplink: Uplink) -> None:
        if uplink.outbox.set_aside:
            self._observer.notice(
                f"outbox {uplink.outbox.path}: was damaged; it is kept as "
                f"{uplink.outbox.set_aside}, and a new one was started"
            )
        if not self._source.is_live:
            uplink.publisher.wait_settled(BROKER_GRACE_S)

    def _handle(self, frame: Frame) -> None:
        self._changeover.between_frames()
        if self._steward:
            self._steward.between_frames(frame)
        frame = self._after_what_nobody_is_followed_over(frame)
        step = self._pipeline.step(frame)
        self._tell(step.hits)
        if self._film:
            labels = {track_id: label_for(what) for track_id, what in step.decisions.items()}
            self._film.write(draw(frame.image, step.tracks, labels))
        first_utc_s = self._video_span_utc_s[0] if self._video_span_utc_s else frame.captured_utc_s
        self._video_span_utc_s = first_utc_s, frame.captured_utc_s
        self._observer.stepped(step)
        self._report_now_and_then("running", self._source.fault)
        self._heartbeat.beat("watching")

    def _after_what_nobody_is_followed_over(self, frame: Frame) -> Frame:
        """The same frame, in the time of now: over a clock that was set and a picture of another
        size no track goes on.
        """
        was_set = self._source.is_live and self._clock.was_set()
        is_other_size = self._frame_size_px not in {None, frame.size_px}
        self._last_frame_s, self._frame_size_px = time.monotonic(), frame.size_px
        if was_set or is_other_size:
            self._tell(self._pipeline.finish())
        return self._in_the_time_of_now(frame) if was_set else frame

    def _in_the_time_of_now(self, frame: Frame) -> Frame:
        moved_s = self._clock.adopt()
        if self._video_span_utc_s:
            first_utc_s, last_utc_s = self._video_span_utc_s
            self._video_span_utc_s = first_utc_s + moved_s, last_utc_s + moved_s
        return replace(frame, captured_utc_s=frame.captured_utc_s + moved_s)

    def _tell(self, hits: Sequence[Hit]) -> None:
        self._herald.tell(self._doorman.greet(hits))

    def _idle(self) -> None:
        """There is no frame: all that goes on without one."""
        with self._interrupts.held():
            self._changeover.between_frames()
            if self._steward:
                self._steward.between_frames(None)
            self._doorman.forget_due()
            self._end_tracks_nobody_sees()
            fault = self._source.fault or _NO_PICTURE_YET
            self._report_now_and_then("stalled" if self._video_span_utc_s else "starting", fault)
            self._heartbeat.beat("waiting for the camera")

    def _end_tracks_nobody_sees(self) -> None:
        """A camera that may never come back leaves nobody in view."""
        last_s = self._last_frame_s
        if last_s and time.monotonic() - last_s > self._settings.source.stall_timeout_s:
            self._last_frame_s = None
            self._tell(self._pipeline.finish())

    def _report_now_and_then(self, state: CameraState, fault: CameraFault | None) -> None:
        now_s = time.monotonic()
        now = state, fault.kind if fault else None
        is_new = self._told != now
        if is_new and now_s >= self._next_status_s - STATUS_INTERVAL_S + _LEAST_STATUS_PAUSE_S:
            self._told, self._next_status_s = now, now_s
            if fault and fault is not _NO_PICTURE_YET:
                self._observer.notice(fault.line)
        if self._uplink is not None and (news := self._uplink.news()):
            self._observer.notice(news)
        if now_s >= self._next_status_s:
            self._next_status_s = now_s + STATUS_INTERVAL_S
            self._report(state, fault.line if fault else None, fault)

    def _report(
        self, state: CameraState, reason: str | None = None, fault: CameraFault | None = None
    ) -> None:
        if self._uplink is None:
            return
        counters = self._pipeline.counters
        report = CameraReport(
            state,
            frames=counters.frames,
            frames_dropped=self._source.dropped,
            fps=self._rate.of_late(counters.frames),
            last_frame_utc_s=self._video_span_utc_s[1] if self._video_span_utc_s else None,
            reason=reason,
            fault=fault.kind if fault else None,
        )
        message = camera_status_message(
            self._uplink.address,
            self._settings.camera,
            report,
            time.time(),
            period_s=STATUS_INTERVAL_S,
        )
        self._uplink.publisher.show(message)

    def _wind_up(
        self, state: CameraState, *, reason: str | None = None, flush_s: float | None = None
    ) -> RunSummary:
        """End the open tracks, deliver what can be delivered, and add up."""
        self._heartbeat.stopping()
        wall_s = time.monotonic() - self._began_s
        with self._interrupts.held():
            try:
                self._tell(self._pipeline.finish())
            finally:  # whatever failed may fail again
                self._report(state, reason)
        if self._uplink:
            patience_s = self._settings.mqtt.flush_timeout_s if flush_s is None else flush_s
            self._uplink.publisher.flush(patience_s)
        return self._add_up(wall_s)

    def _add_up(self, wall_s: float) -> RunSummary:
        counters: Counters = self._pipeline.counters
        return RunSummary(
            frames=counters.frames,
            video_s=self._video_s(),
            wall_s=wall_s,
            detections_run=counters.detections_run,
            tracks=counters.tracks,
            embeddings=counters.embeddings,
            hits_by_identity=dict(counters.hits_by_identity),
            unknown_tracks=counters.unknown_tracks,
            uncertain_tracks=counters.uncertain_tracks,
            dropped_frames=self._source.dropped,
            dropped_events=self._uplink.dropped if self._uplink else 0,
            waiting_events=self._uplink.waiting if self._uplink else 0,
            undelivered=self._uplink.undelivered() if self._uplink else None,
        )

    def _video_s(self) -> float:
        if self._video_span_utc_s is None:
            return 0.0
        first, last = self._video_span_utc_s
        return last - first + 1 / self._source.fps
