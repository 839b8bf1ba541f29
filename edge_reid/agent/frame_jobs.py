"""Work that other threads want done between two frames, by the thread that takes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.errors import SourceError
from edge_reid.core.types import Frame

FRAME_PATIENCE_S = 10.0
"""Longest wait for a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    future: Future[Frame | None]
    """Of the frame that was looked at next; None: no camera gave any."""
    work: Callable[[], None]
    camera: str | None
    """Whose frame it waits for; None: of any camera."""

    def is_due(self, camera: str | None, frame: Frame | None) -> bool:
        """Whether somebody still waits for it, and this frame of a camera, or that none comes, is
        what it waits for.
        """
        is_its_turn = frame is None or self.camera in {None, camera}
        return is_its_turn and not self.future.cancelled()

    def run(self, frame: Frame | None) -> None:
        try:
            self.work()
        except Exception as error:  # the job fails, the frames do not
            self.future.set_exception(error)
        else:
            self.future.set_result(frame)


class FrameJobs(ClosedAfterUse):
    """Jobs that wait for their turn. Any thread may ask; the thread of the frames does them. `with`
    gives up at its end what still waits.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Job] = deque()
        self._stopping = threading.Event()

    def close(self) -> None:
        """Give up what waits, and whatever comes."""
        self._stopping.set()
        while self._waiting:
            self._waiting.popleft().future.cancel()

    def do(self, work: Callable[[], None], camera: str | None = None) -> Frame | None:
        """Have work done between two frames; returns the frame that came then, if one did.

        Args:
            work: what to do.
            camera: it is to be a frame of this camera; None: of any.

        Raises:
            SourceError: no frame came in time, and the job is not done.
            CancelledError: the agent stops.
        """
        future: Future[Frame | None] = Future()
        self._waiting.append(_Job(future, work, camera))
        if self._stopping.is_set():
            future.cancel()
        try:
            return future.result(FRAME_PATIENCE_S)
        except FutureTimeoutError:
            if not future.cancel():  # it has begun meanwhile
                return future.result()
        raise SourceError(
            f"{f'camera {camera}' if camera else 'cameras'}: expected a frame within "
            f"{FRAME_PATIENCE_S:g} s, none came; nothing was changed"
        )

    def run(
        self, camera: str | None, frame: Frame | None, settle: Callable[[], None] = lambda: None
    ) -> None:
        """Do what is to be done now that `frame` of a camera is about to be looked at, or none of
        any has come.

        Args:
            camera: whose frame it is.
            frame: the next one.
            settle: called ahead of what is done, if anything is: ends the looks in hand.
        """
        waiting = [self._waiting[at] for at in range(len(self._waiting))]  # others only append
        due = [job for job in waiting if job.is_due(camera, frame)]
        if due:
            settle()
        for job in waiting:
            self._waiting.popleft()
            if job not in due:
                if not job.future.cancelled():  # one that was given up may wait for ever
                    self._waiting.append(job)
            elif job.future.set_running_or_notify_cancel():
                job.run(frame)
