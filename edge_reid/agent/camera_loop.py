"""The loop over the frames of one camera, and how it ends."""

from __future__ import annotations

from edge_reid.agent.between_frames import BetweenFrames
from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.run_report import RunReport
from edge_reid.agent.signals import StopSignals
from edge_reid.core.errors import EdgeReidError
from edge_reid.core.types import Frame
from edge_reid.wire.events import CameraState

INTERRUPTED_FLUSH_S = 5.0
"""Who presses Ctrl-C waits so long at most for the last events to leave; the rest stay safe."""


class CameraLoop:
    """One camera at work, in the thread that runs it.

    Args:
        frames: of the camera.
        pipeline: from frame to hits.
        between_frames: what other threads have made ready comes in here.
        output: where hits go.
        report: how it goes.
        signals: Ctrl-C and SIGTERM, held while a frame is in hand.
    """

    def __init__(
        self,
        *,
        frames: CameraFrames,
        pipeline: Pipeline,
        between_frames: BetweenFrames,
        output: EventOutput,
        report: RunReport,
        signals: StopSignals,
    ) -> None:
        self._frames = frames
        self._pipeline = pipeline
        self._between_frames = between_frames
        self._output = output
        self._report = report
        self._signals = signals

    def run(self) -> RunSummary:
        """Take frames until there are no more, or somebody stops it.

        Raises:
            KeyboardInterrupt, SystemExit: by Ctrl-C or SIGTERM. The open tracks have ended.
            EdgeReidError, OSError: the source broke, or a disk is full; the same holds.
        """
        self._report.started()
        try:
            for frame in self._frames.each(idle=self._idle):
                with self._signals.held():
                    self._take(frame)
        except (KeyboardInterrupt, SystemExit):
            self._report.interrupted(self._wind_up("ended", patience_s=INTERRUPTED_FLUSH_S))
            raise
        except (EdgeReidError, OSError) as error:
            self._wind_up("failed", reason=str(error))
            raise
        return self._wind_up("ended")

    def _take(self, frame: Frame) -> None:
        self._between_frames.run(frame)
        if self._frames.is_break(frame):
            self._end_tracks()
        step = self._pipeline.step(self._frames.in_the_time_of_now(frame))
        self._output.write(step.hits)
        self._report.stepped(step)

    def _idle(self) -> None:
        """No frame has come: all that goes on without one."""
        with self._signals.held():
            self._between_frames.run(None)
            if self._frames.take_loss():  # a camera that may never come back leaves nobody in view
                self._end_tracks()
            self._report.idled()

    def _end_tracks(self) -> None:
        self._output.write(self._pipeline.finish())

    def _wind_up(
        self, state: CameraState, *, reason: str | None = None, patience_s: float | None = None
    ) -> RunSummary:
        """End the open tracks, deliver what can be delivered, and add up."""
        self._report.stopping()
        with self._signals.held():
            try:
                self._end_tracks()
            finally:  # whatever failed may fail again
                self._report.ended(state, reason)
        return self._report.deliver(patience_s)
