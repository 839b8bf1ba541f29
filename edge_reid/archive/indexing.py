"""Many videos into one archive, with a process a core: one file is one process's work.

What a process that was killed had not finished is done again by another. The bytes of the archive
are the same whoever did what.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from edge_reid.archive.video_tracks import ModelChoice, VideoJob, add_video
from edge_reid.core.errors import EdgeReidError

TRIES = 3
"""Of a file whose process dies: then it is the file, or the machine's memory."""


@dataclass(slots=True)
class IndexingResult:
    """What became of the videos."""

    tracks: int = 0
    """New in the archive."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Files that could not be done, and why."""


def index_videos(
    jobs: Sequence[VideoJob],
    choice: ModelChoice,
    folder: Path,
    *,
    processes: int,
    progress: Callable[[int, int | None], None],
) -> IndexingResult:
    """Put the tracks of videos into an archive that is there.

    Args:
        jobs: the videos; those in the archive already cost a look at their bytes.
        choice: the models that the archive was made with.
        folder: the archive.
        processes: at once.
        progress: called with the videos done, and all.
    """
    result, left = IndexingResult(), list(jobs)
    for _ in range(TRIES):
        for job in _done(left, choice, folder, processes, result):
            left.remove(job)
            progress(len(jobs) - len(left), len(jobs))
        if not left:
            break
    result.failed |= {job.path: f"its process died {TRIES} times" for job in left}
    return result


def _done(
    jobs: Sequence[VideoJob],
    choice: ModelChoice,
    folder: Path,
    processes: int,
    result: IndexingResult,
) -> Iterator[VideoJob]:
    """Do each once: all but those whose process died, or that waited for one that did."""
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the runtime's locks
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=spawn) as pool:
        waiting = {pool.submit(add_video, job, choice, folder): job for job in jobs}
        for done in as_completed(waiting):
            if _count(done, waiting[done], result):
                yield waiting[done]


def _count(done: Future[int], job: VideoJob, result: IndexingResult) -> bool:
    try:
        result.tracks += done.result()
    except BrokenProcessPool:
        return False
    except EdgeReidError as error:
        result.failed[job.path] = str(error)
    return True
