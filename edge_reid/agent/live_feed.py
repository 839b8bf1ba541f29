"""Frames of live cameras: the newest of the camera whose turn it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from edge_reid.agent.agent_loop import CameraIsOver
from edge_reid.agent.look_schedule import LookSchedule
from edge_reid.agent.watched_camera import Turn, WatchedCamera

_IDLE_S = 1.0
"""Between two looks at what goes on beside the frames."""


class LiveFeed:
    """Gives turns for ever.

    Args:
        cameras: all live.
        schedule: hears of their frames.
    """

    def __init__(self, cameras: Sequence[WatchedCamera], schedule: LookSchedule) -> None:
        self._cameras = {camera.name: camera for camera in cameras}
        self._schedule = schedule

    def turns(
        self,
        idle: Callable[[], None],
        over: CameraIsOver,  # noqa: ARG002
    ) -> Iterator[Turn | None]:
        """As `FrameFeed` says; a live camera is opened again and again, so that none is over."""
        idle_due_s = time.monotonic() + _IDLE_S
        while True:
            turn = self._next(idle_due_s - time.monotonic())
            yield turn
            del turn  # and with it the picture, before the next is made
            if time.monotonic() >= idle_due_s:
                idle()
                idle_due_s = time.monotonic() + _IDLE_S

    def done(self, turn: Turn) -> None:
        """As `FrameFeed` says."""
        self._schedule.done(turn.camera.name)

    def _next(self, timeout_s: float) -> Turn | None:
        look = self._schedule.next(max(0.0, timeout_s))
        if look is None:
            return None
        camera = self._cameras[look.camera]
        assert camera.looks is not None, "it is live"  # noqa: S101
        frame = camera.frames.newest()
        if frame is None:
            return None
        self._schedule.taken(look.camera, camera.looks.period_s)
        return Turn(camera, frame, look.waited_s)
