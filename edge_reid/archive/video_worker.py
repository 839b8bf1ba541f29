"""A process that puts one video after the other into an archive."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from typing import Any

from edge_reid.archive.archive_store import ArchiveAccessError
from edge_reid.archive.video_tracks import ModelChoice, VideoJob, add_video
from edge_reid.core.errors import EdgeReidError, VideoError

_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the runtime's locks


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """What became of a video."""

    tracks: int = 0
    """New in the archive."""
    is_kept: bool = False
    """Whether it was there before, and stays as it was."""
    failure: str = ""
    """Why it could not be done, without its name; empty if it is."""
    ends_all: bool = False
    """Whether no other video can be done either."""


class VideoWorker:
    """One process, started for its first job, and anew for the one after it has died.

    Args:
        choice: the models that the archive was made with.
        where: the archive.
    """

    def __init__(self, choice: ModelChoice, where: str) -> None:
        self._task = choice, where
        self._process: Any = None
        self._pipe: Any = None

    def __enter__(self) -> VideoWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def begin(self, job: VideoJob) -> None:
        """Do a video; returns at once."""
        self.job = job
        if self._process is None:
            self._start()
        with suppress(OSError):  # it has died: the outcome says so
            self._pipe.send(job)

    def outcome(self) -> VideoOutcome | None:
        """What became of the job, waited for; None: its process died at it."""
        try:
            outcome: VideoOutcome = self._pipe.recv()
        except (EOFError, OSError):
            self._end()
            return None
        return outcome

    def _start(self) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, *self._task), daemon=True)
        # of a terminal: Ctrl-C is ours from the first moment of the process, which we end
        resource_tracker.ensure_running()  # else it is started within, and takes the mask off
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = None


def first_done(workers: Iterable[VideoWorker]) -> list[VideoWorker]:
    """Those of some busy workers whose outcome is there; waits for the first."""
    by_pipe = {worker._pipe: worker for worker in workers}  # noqa: SLF001 - of this file
    return [by_pipe[pipe] for pipe in connection.wait(by_pipe)]


def _work(pipe: Any, choice: ModelChoice, where: str) -> None:
    """Do what comes, in the process of a worker; it ends with the one that started it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError):
        while True:
            job = pipe.recv()
            pipe.send(outcome_of(lambda: add_video(job, choice, where)))  # noqa: B023 - at once


def outcome_of(work: Callable[[], int | None]) -> VideoOutcome:
    """What became of a video.

    Args:
        work: puts it into an archive, and says how many tracks are new; None: it was there.
    """
    try:
        tracks = work()
        return VideoOutcome(tracks or 0, is_kept=tracks is None)
    except ArchiveAccessError as error:
        return VideoOutcome(failure=str(error), ends_all=True)
    except VideoError as error:
        return VideoOutcome(failure=error.reason)
    except EdgeReidError as error:
        return VideoOutcome(failure=str(error))
    except Exception as error:  # of one video: the others are done all the same
        return VideoOutcome(failure=f"unexpected {type(error).__name__}: {error}")


def _end_with_parent() -> None:
    """However that ends; in the middle of a video, which is then not in the archive."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
