"""How a run goes: for the broker, for systemd, for whoever watches, and in a summary at its end."""

from __future__ import annotations

import time

from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.metrics import Counters, FrameRate, RunSummary
from edge_reid.agent.observers import Observers
from edge_reid.agent.pipeline import Step
from edge_reid.agent.systemd import SystemdNotifier
from edge_reid.agent.uplink import Uplink
from edge_reid.core.camera_fault import CameraFault, FaultKind
from edge_reid.core.config import AgentSettings
from edge_reid.wire.events import CameraReport, CameraState, camera_status_message

STATUS_INTERVAL_S = 10.0
BROKER_GRACE_S = 3.0
"""A file waits so long for the broker before its first frame, so that its events are not late."""
_LEAST_STATUS_PAUSE_S = 1.0
"""What changes is told at once, but no more often."""
_WITHOUT_START_TIME = (
    "without --start-time the first frame of a file counts as taken on 1970-01-01, and so do its"
    " events"
)
_NO_PICTURE_YET = CameraFault("no-picture", "no picture has come yet; it is waited for")


class RunReport:
    """Says how the run goes. Of the thread that takes the frames.

    Args:
        camera: its name.
        frames: the camera.
        counters: what the pipeline has done so far.
        uplink: the broker; None: there is none.
    """

    def __init__(
        self,
        settings: AgentSettings,
        camera: str,
        *,
        frames: CameraFrames,
        counters: Counters,
        uplink: Uplink | None,
        observers: Observers,
        systemd: SystemdNotifier,
    ) -> None:
        self._settings = settings
        self._camera = camera
        self._frames = frames
        self._counters = counters
        self._uplink = uplink
        self._observers = observers
        self._systemd = systemd
        self._began_s = time.monotonic()
        self._wall_s = 0.0
        self._rate = FrameRate()
        self._next_status_s = 0.0
        self._reported: tuple[CameraState, FaultKind | None] | None = None

    def started(self) -> None:
        """The first frame is about to be asked for."""
        if self._uplink:
            self._await(self._uplink)
        self._observers.started(self._camera, self._frames.expected)
        if (
            not self._frames.is_live
            and self._settings.cameras[self._camera].source.start_time is None
        ):
            self._observers.notice(_WITHOUT_START_TIME)
        self._began_s, self._rate = time.monotonic(), FrameRate()

    def stepped(self, step: Step) -> None:
        """A frame went through all stages, and what it brought is committed."""
        self._observers.stepped(step)
        self._report_when_due("running", self._frames.fault)
        self._systemd.beat("watching")

    def idled(self) -> None:
        """No frame has come, and all is well but for that."""
        state: CameraState = "starting" if self._frames.last_utc_s is None else "stalled"
        self._report_when_due(state, self._frames.fault or _NO_PICTURE_YET)
        self._systemd.beat("waiting for the camera")

    def stopping(self) -> None:
        """No frame will be taken any more; the last events are about to be delivered."""
        self._systemd.stopping()
        self._wall_s = time.monotonic() - self._began_s

    def ended(self, state: CameraState, reason: str | None = None) -> None:
        """All tracks have ended; `reason`, if it did not go well."""
        self._publish(state, reason)

    def deliver(self, patience_s: float | None = None) -> RunSummary:
        """Deliver what can be delivered, and add up.

        Args:
            patience_s: longest wait for the broker; None: as configured.
        """
        if self._uplink:
            configured_s = self._settings.mqtt.flush_timeout_s
            self._uplink.publisher.flush(configured_s if patience_s is None else patience_s)
        return self._summary()

    def interrupted(self, summary: RunSummary) -> None:
        """Somebody ended the run before its source did."""
        self._observers.interrupted(summary)

    def _await(self, uplink: Uplink) -> None:
        if uplink.outbox.quarantined:
            self._observers.notice(
                f"outbox {uplink.outbox.path}: was damaged; whole events of it are saved in a new "
                f"one, and it is kept as {uplink.outbox.quarantined} until they are delivered"
            )
        if not self._frames.is_live:
            uplink.publisher.wait_settled(BROKER_GRACE_S)

    def _report_when_due(self, state: CameraState, fault: CameraFault | None) -> None:
        now_s = time.monotonic()
        now = state, fault.kind if fault else None
        is_new = self._reported != now
        if is_new and now_s >= self._next_status_s - STATUS_INTERVAL_S + _LEAST_STATUS_PAUSE_S:
            self._reported, self._next_status_s = now, now_s
            if fault and fault is not _NO_PICTURE_YET:
                self._observers.notice(fault.line)
        if self._uplink is not None and (news := self._uplink.news()):
            self._observers.notice(news)
        if now_s >= self._next_status_s:
            self._next_status_s = now_s + STATUS_INTERVAL_S
            self._publish(state, fault.line if fault else None, fault)

    def _publish(
        self, state: CameraState, reason: str | None = None, fault: CameraFault | None = None
    ) -> None:
        if self._uplink is None:
            return
        report = CameraReport(
            state,
            frames=self._counters.frames,
            frames_dropped=self._frames.dropped,
            fps=self._rate.of_late(self._counters.frames),
            last_frame_utc_s=self._frames.last_utc_s,
            reason=reason,
            fault=fault.kind if fault else None,
        )
        address, camera = self._uplink.address, self._camera
        self._uplink.publisher.show(
            camera_status_message(address, camera, report, time.time(), period_s=STATUS_INTERVAL_S)
        )

    def _summary(self) -> RunSummary:
        counters, uplink = self._counters, self._uplink
        return RunSummary(
            frames=counters.frames,
            video_s=self._frames.video_s,
            wall_s=self._wall_s,
            detections_run=counters.detections_run,
            tracks=counters.tracks,
            embeddings=counters.embeddings,
            hits_by_identity=dict(counters.hits_by_identity),
            unknown_tracks=counters.unknown_tracks,
            uncertain_tracks=counters.uncertain_tracks,
            dropped_frames=self._frames.dropped,
            dropped_events=uplink.dropped if uplink else 0,
            waiting_events=uplink.waiting if uplink else 0,
            undelivered=uplink.undelivered() if uplink else None,
        )
