"""One camera of an agent: its frames, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.camera_status_report import CameraStatusReport
from edge_reid.agent.corrections import PublishedName, visit_of
from edge_reid.agent.drift_watch import DriftWatch
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.look_record import LookRecord
from edge_reid.agent.pipeline import Pipeline, Step
from edge_reid.core.types import Frame
from edge_reid.wire.events import CameraState, Event


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A frame that is to be taken now."""

    camera: WatchedCamera
    frame: Frame
    waited_s: float = 0.0
    """Since the camera was due; it had to wait for others."""
    most_crops: int | None = None
    """Of how many people a crop is embedded; None: of all who need it."""
    due_utc_s: float | None = None
    """By when what the frame brings is to be committed; None: of a recording."""


class WatchedCamera:
    """One camera at work. Of the thread that takes the frames; `look` alone may be called in
    another one, which then has the camera to itself until it returns.

    Args:
        name: of the camera.
        frames: of a recording every one, of a live camera those that are looked at.
        pipeline: from frame to hits.
        output: where hits go.
        status: how the camera does.
        looks: of a live camera, how often and how late it is looked at; None: a recording, whose
            frames all come and which has a cadence of its own.
        drift: of a live camera, counts unknown people, and moves the threshold if that is wanted.
    """

    def __init__(
        self,
        name: str,
        *,
        frames: CameraFrames,
        pipeline: Pipeline,
        output: EventOutput,
        status: CameraStatusReport,
        looks: LookRecord | None,
        drift: DriftWatch | None = None,
    ) -> None:
        self.name = name
        self.frames = frames
        self.status = status
        self.looks = looks
        self.drift = drift
        self.counters = pipeline.counters
        self.stages = pipeline.stages
        self._pipeline = pipeline
        self.output = output
        self._has_ended = False

    def begin(self, turn: Turn) -> Turn:
        """Make ready for a frame; returns the turn to `look` at, in the time of now."""
        if self.drift:
            self.drift.adapt()
        if self.frames.is_break(turn.frame):
            self._end_tracks()
        frame = self.frames.in_the_time_of_now(turn.frame)
        if self.looks is None:
            return replace(turn, frame=frame)
        due_utc_s = frame.captured_utc_s + self.looks.promise_s
        return replace(turn, frame=frame, most_crops=self.looks.crops_per_look, due_utc_s=due_utc_s)

    def look(self, turn: Turn) -> Step:
        """Take a frame through all stages. No I/O, but for crops out of a large stream."""
        if self.looks is None:
            return self._pipeline.step(turn.frame)
        return self._pipeline.look(turn.frame, most_crops=turn.most_crops, due_utc_s=turn.due_utc_s)

    def finish(self, turn: Turn, step: Step) -> None:
        """Commit what a look has brought."""
        if self._pipeline.has_somebody:
            self.frames.attend()
        self.output.write(step.hits)
        self.output.write_zones(step.zone_changes)
        if self.looks:
            age_s, brought = self.frames.age_s(turn.frame), bool(step.hits or step.zone_changes)
            self.looks.note(
                age_s,
                waited_s=turn.waited_s,
                brought_events=brought,
                uncompared=step.uncompared,
            )

    def take_back(self, name: PublishedName) -> tuple[Event, ...]:
        """Say that somebody was not who they were published as, and do not say so of them again.
        Returns the events that are taken back, as `EventOutput.take_back`.
        """
        wrong = self.output.take_back(name)
        if wrong:
            self._pipeline.deny(visit_of(wrong[0]), name.identity)
        return wrong

    def end_tracks_if_away(self) -> None:
        """End all tracks if the camera is away for so long that nobody is in view any more."""
        if self.frames.take_loss():
            self._end_tracks()

    def end(self, state: CameraState, reason: str | None = None) -> None:
        """End all tracks, and say how the camera ended; only the first call does anything."""
        if self._has_ended:
            return
        self._has_ended = True
        try:
            self._end_tracks()
        finally:
            self.status.ended(state, reason)

    def _end_tracks(self) -> None:
        ending = self._pipeline.finish()
        self.output.write(ending.hits)
        self.output.write_zones(ending.zone_changes)
