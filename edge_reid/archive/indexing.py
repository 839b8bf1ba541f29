"""Many videos into one archive, with a process a core: one file is one process's work.

What a process that was killed had not finished is done again by another. The bytes of the archive
are the same whoever did what.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edge_reid.archive.video_tracks import ModelChoice, VideoJob
from edge_reid.archive.video_worker import VideoOutcome, VideoWorker, first_done
from edge_reid.core.errors import StoreError

TRIES = 3
"""Of a file whose process dies: then it is the file, or the machine's memory."""


@dataclass(slots=True)
class IndexingResult:
    """What became of the videos."""

    tracks: int = 0
    """New in the archive."""
    kept: int = 0
    """Videos that were there before, and stay as they were."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Files that could not be done, and why; the reason does not name the file again."""

    def count(self, job: VideoJob, outcome: VideoOutcome) -> None:
        """Add what became of a video.

        Raises:
            StoreError: no other can be done either.
        """
        if outcome.ends_all:
            raise StoreError(f"{outcome.failure}. Videos that are done are in the archive")
        self.tracks += outcome.tracks
        self.kept += outcome.is_kept
        if outcome.failure:
            self.failed[job.path] = outcome.failure


def index_videos(
    jobs: Sequence[VideoJob],
    choice: ModelChoice,
    where: str,
    *,
    processes: int,
    progress: Callable[[int, int | None], None],
) -> IndexingResult:
    """Put the tracks of videos into an archive that is there.

    Args:
        jobs: the videos; those in the archive already cost a look at their bytes.
        choice: the models that the archive was made with.
        where: the archive.
        processes: at once.
        progress: called with the videos done, and all.

    Raises:
        StoreError: the archive does not let us in; what is being done is given up.
    """
    result = IndexingResult()
    with ExitStack() as stack:
        workers = [
            stack.enter_context(VideoWorker(choice, where))
            for _ in range(min(processes, len(jobs)))
        ]
        for done, (job, outcome) in enumerate(_outcomes(jobs, workers), 1):
            result.count(job, outcome)
            progress(done, len(jobs))
    return result


def _outcomes(
    jobs: Sequence[VideoJob], workers: Sequence[VideoWorker]
) -> Iterator[tuple[VideoJob, VideoOutcome]]:
    """Each job with what became of it, as they are done; those whose process died are done last."""
    left, deaths = deque(jobs), Counter[VideoJob]()
    idle, busy = list(workers), list[VideoWorker]()
    while left or busy:
        while left and idle:
            busy.append(idle.pop())
            busy[-1].begin(left.popleft())
        for worker in first_done(busy):
            busy.remove(worker)
            idle.append(worker)
            outcome = worker.outcome()
            deaths[worker.job] += outcome is None
            if outcome is not None:
                yield worker.job, outcome
            elif deaths[worker.job] < TRIES:
                left.append(worker.job)
            else:
                yield worker.job, VideoOutcome(failure=f"its process died {TRIES} times")
