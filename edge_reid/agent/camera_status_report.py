"""How a camera does: for the broker, and for whoever watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.drift_watch import DriftWatch
from edge_reid.agent.look_record import LookRecord
from edge_reid.agent.metrics import Counters, FrameRate
from edge_reid.agent.uplink import Uplink
from edge_reid.agent.watch_hours import WatchHours
from edge_reid.core.camera_fault import CameraFault, FaultKind
from edge_reid.wire.events import CameraReport, CameraState, StreamReport, camera_status_message
from edge_reid.wire.payloads import CameraBrief

STATUS_INTERVAL_S = 10.0
_LEAST_STATUS_PAUSE_S = 1.0
"""What changes is told at once, but no more often."""
_NO_PICTURE_YET = CameraFault("no-picture", "no picture has come yet; it is waited for")


_Reported: TypeAlias = tuple[CameraState, FaultKind | None, bool, int | None]
"""What is told at once when it changes: state, fault, whether it is degraded, persons in view."""


class CameraStatusReport:
    """Tells the state of one camera when it changes, and now and then.

    Args:
        camera: its name.
        frames: of the camera.
        looks: how often and how late it is looked at; None: it is a recording.
        uplink: the broker; None: there is none.
        notice: tells a person.
        counters: what happened so far.
        drift: how alike unknown people are; None: nobody counts.
        hours: when it is watched.
    """

    def __init__(
        self,
        camera: str,
        *,
        frames: CameraFrames,
        looks: LookRecord | None,
        uplink: Uplink | None,
        notice: Callable[[str], None],
        counters: Counters,
        drift: DriftWatch | None = None,
        hours: WatchHours | None = None,
    ) -> None:
        self._camera = camera
        self._frames = frames
        self._looks = looks
        self._uplink = uplink
        self._notice = notice
        self._counters = counters
        self._drift = drift
        self._hours = hours or WatchHours(())
        self._rate = FrameRate()
        self._rate_of_late = FrameRate()  # asked more often than what is published
        self._next_status_s = 0.0
        self._next_look_s = 0.0
        self._is_starting = True
        """Whether no frame has come since the start, or since it was last closed by its hours."""
        self._persons_in_view: int | None = None
        self._reported: _Reported | None = None
        self.brief = CameraBrief(camera=camera, state="starting")
        """What the agent's status says of it."""
        self.latest = CameraReport("starting")
        """As it was found last, within a second while frames come; another value takes its place,
        and any thread may read it."""

    def begin(self) -> None:
        """The first frame is about to be asked for."""
        self._rate = FrameRate()

    def running(self, persons_in_view: int) -> None:
        """A frame was taken, and what it brought is committed."""
        self._persons_in_view = persons_in_view
        self._is_starting = False
        fault = self._frames.fault
        # a picture that stands still is handed out until it is known to
        stands_still = fault is not None and fault.kind == "frozen"
        self._report_when_due("stalled" if stands_still else "running", fault)

    def quiet(self) -> None:
        """No frame has come for a while."""
        self._persons_in_view = None
        if self._hours.rest_until_utc_s is not None:
            self._is_starting = True
            self._report_when_due("inactive", None)
            return
        state: CameraState = "starting" if self._is_starting else "stalled"
        self._report_when_due(state, self._frames.fault or _NO_PICTURE_YET)

    def ended(self, state: CameraState, reason: str | None = None) -> None:
        """All tracks have ended; `reason`, if it did not go well."""
        self._persons_in_view = None
        self._publish(self._report(state, reason))

    def _report_when_due(self, state: CameraState, fault: CameraFault | None) -> None:
        now_s = time.monotonic()
        kind, reason = (fault.kind, fault.line) if fault else (None, None)
        if now_s >= self._next_status_s - STATUS_INTERVAL_S + _LEAST_STATUS_PAUSE_S:
            self._advance_changes(now_s, state, fault)
        if now_s >= self._next_status_s:
            self._next_status_s = now_s + STATUS_INTERVAL_S
            self._next_look_s = now_s + _LEAST_STATUS_PAUSE_S
            self._publish(self._report(state, reason, kind))
        elif now_s >= self._next_look_s:
            self._next_look_s = now_s + _LEAST_STATUS_PAUSE_S
            self.latest = self._report(state, reason, kind, rate=self._rate_of_late)

    def _advance_changes(self, now_s: float, state: CameraState, fault: CameraFault | None) -> None:
        """What is not as it was told last is told now."""
        is_degraded = bool(self._looks and self._looks.is_degraded)
        now = state, fault.kind if fault else None, is_degraded, self._persons_in_view
        if self._reported != now:
            if fault and fault is not _NO_PICTURE_YET:
                self._tell(fault, now)
            self._reported, self._next_status_s = now, now_s

    def _tell(self, fault: CameraFault, now: _Reported) -> None:
        if self._reported is None or self._reported[:2] != now[:2]:
            self._notice(fault.line)

    def _report(
        self,
        state: CameraState,
        reason: str | None = None,
        fault: FaultKind | None = None,
        *,
        rate: FrameRate | None = None,
    ) -> CameraReport:
        return CameraReport(
            state,
            frames=self._frames.processed,
            frames_dropped=self._frames.dropped,
            fps=(rate or self._rate).of_late(self._frames.processed),
            last_frame_utc_s=self._frames.last_utc_s,
            reason=reason,
            fault=fault,
            persons_in_view=self._persons_in_view,
            looks=self._looks.report if self._looks else None,
            streams=self._streams,
            drift=self._drift.report if self._drift else None,
            inactive_until_utc_s=self._hours.rest_until_utc_s if state == "inactive" else None,
        )

    @property
    def _streams(self) -> StreamReport | None:
        states, counters = self._frames.streams, self._counters
        crops = counters.embeddings - counters.compared
        return StreamReport(states, crops, counters.enlarged) if states else None

    def _publish(self, report: CameraReport) -> None:
        self.latest = report
        self.brief = CameraBrief(
            camera=self._camera,
            state=report.state,
            fault=report.fault,
            degraded=bool(report.looks and report.looks.is_degraded),
        )
        if self._uplink is not None:
            message = camera_status_message(
                self._uplink.address,
                self._camera,
                report,
                time.time(),
                period_s=STATUS_INTERVAL_S,
            )
            self._uplink.publisher.show(message)
