"""Frames of recordings: every one, and those of several in the order of their times."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

from edge_reid.agent.agent_loop import CameraIsOver
from edge_reid.agent.watched_camera import Turn, WatchedCamera
from edge_reid.core.errors import SourceError


class RecordedFeed:
    """Gives the same turns in every run.

    Args:
        cameras: of recordings. Of frames of one moment, that of the earlier camera comes first.
    """

    def __init__(self, cameras: Sequence[WatchedCamera]) -> None:
        self._cameras = cameras

    def turns(self, idle: Callable[[], None], over: CameraIsOver) -> Iterator[Turn]:  # noqa: ARG002
        """As `FrameFeed` says; a recording always has a frame, so that `idle` is never called."""
        broken: list[SourceError] = []
        recordings = [self._frames_of(camera, over, broken) for camera in self._cameras]
        yield from heapq.merge(*recordings, key=lambda turn: turn.frame.captured_utc_s)
        if broken:
            raise broken[0]

    def done(self, turn: Turn) -> None:
        """As `FrameFeed` says; the next frame of a recording waits for nothing."""

    def _frames_of(
        self, camera: WatchedCamera, over: CameraIsOver, broken: list[SourceError]
    ) -> Iterator[Turn]:
        try:
            for frame in camera.frames.each():
                yield Turn(camera, frame)
        except SourceError as error:
            broken.append(error)
            over(camera, error)
        else:
            over(camera, None)
