"""How a run goes: for systemd, for whoever watches, and in a summary at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.observers import Observers
from edge_reid.agent.pipeline import Step
from edge_reid.agent.systemd import SystemdNotifier
from edge_reid.agent.uplink import Uplink
from edge_reid.agent.watched_camera import WatchedCamera
from edge_reid.core.config.agent_settings import AgentSettings

BROKER_GRACE_S = 3.0
"""A file waits so long for the broker before its first frame, so that its events are not late."""
_WITHOUT_START_TIME = (
    "without --start-time the first frame of a file counts as taken on 1970-01-01, and so do its"
    " events"
)


class RunReport:
    """Says how the run goes. Of the thread that takes the frames.

    Args:
        cameras: all that the agent has.
        uplink: the broker; None: there is none.
    """

    def __init__(
        self,
        settings: AgentSettings,
        cameras: Sequence[WatchedCamera],
        *,
        uplink: Uplink | None,
        observers: Observers,
        systemd: SystemdNotifier,
    ) -> None:
        self._settings = settings
        self._cameras = cameras
        self._uplink = uplink
        self._observers = observers
        self._systemd = systemd
        self._is_live = any(camera.frames.is_live for camera in cameras)
        self._began_s = time.monotonic()
        self._wall_s = 0.0
        self.beaten_s = self._began_s
        """When the loop over the frames last came round, monotonic; any thread may read it."""

    def started(self) -> None:
        """The first frame is about to be asked for."""
        if self._uplink:
            self._await(self._uplink)
        for camera in self._cameras:
            self._observers.started(camera.name, camera.frames.expected)
        sources = [camera.source for camera in self._settings.cameras.values()]
        if not self._is_live and any(source.start_time is None for source in sources):
            self._observers.notice(_WITHOUT_START_TIME)
        self._began_s = time.monotonic()
        for camera in self._cameras:
            camera.status.begin()

    def stepped(self, camera: WatchedCamera, step: Step) -> None:
        """A frame went through all stages, and what it brought is committed."""
        self._observers.stepped(step)
        camera.status.running(len(step.tracks))
        self._go_on()

    def idled(self) -> None:
        """Some time has passed, with frames or without."""
        for camera in self._cameras:
            if camera.frames.is_quiet:
                camera.status.quiet()
        self._go_on()

    def stopping(self, *, is_over: bool) -> None:
        """No frame will be taken any more; the last events are about to be delivered.

        Args:
            is_over: whether the service ends, which must not be said of one that begins anew.
        """
        if is_over:
            self._systemd.stopping()
        else:
            self._systemd.starting_anew()
        self._wall_s = time.monotonic() - self._began_s

    def deliver(self, patience_s: float | None = None) -> RunSummary:
        """Deliver what can be delivered, and add up.

        Args:
            patience_s: longest wait for the broker; None: as configured.
        """
        if self._uplink:
            self._tell_states(self._uplink)
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
                f"one, and it is quarantined as {uplink.outbox.quarantined}"
            )
        if not self._is_live:
            uplink.publisher.wait_settled(BROKER_GRACE_S)

    def _go_on(self) -> None:
        self.beaten_s = time.monotonic()
        if self._uplink is not None:
            self._tell_states(self._uplink)
            if news := self._uplink.news():
                self._observers.notice(news)
        self._systemd.beat(self._watched_in_words)

    def _tell_states(self, uplink: Uplink) -> None:
        uplink.publisher.show_cameras(tuple(camera.status.brief for camera in self._cameras))

    @property
    def _watched_in_words(self) -> str:
        quiet = [camera.name for camera in self._cameras if camera.frames.is_quiet]
        if not quiet:
            return "watching"
        if len(self._cameras) == 1:
            return "waiting for the camera"
        waiting = f"waiting for {', '.join(quiet)}"
        return waiting if len(quiet) == len(self._cameras) else f"watching; {waiting}"

    def _summary(self) -> RunSummary:
        counters, uplink = [camera.counters for camera in self._cameras], self._uplink
        hits: Counter[str] = sum((one.hits_by_identity for one in counters), Counter())
        return RunSummary(
            frames=sum(camera.frames.processed for camera in self._cameras),
            video_s=max(camera.frames.video_s for camera in self._cameras),
            wall_s=self._wall_s,
            detections_run=sum(one.detections_run for one in counters),
            tracks=sum(one.tracks for one in counters),
            embeddings=sum(one.embeddings for one in counters),
            hits_by_identity=dict(hits),
            unknown_tracks=sum(one.unknown_tracks for one in counters),
            uncertain_tracks=sum(one.uncertain_tracks for one in counters),
            dropped_frames=sum(camera.frames.dropped for camera in self._cameras),
            dropped_events=uplink.dropped if uplink else 0,
            waiting_events=uplink.waiting if uplink else 0,
            undelivered=uplink.undelivered() if uplink else None,
        )
