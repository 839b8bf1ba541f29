"""What happens between two frames: the only moment at which another thread's work takes effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.gallery_report import GalleryReport
from edge_reid.agent.score_file import ScoreFile
from edge_reid.core.types import Frame
from edge_reid.matching.index import Index
from edge_reid.strangers.name_giver import NameGiver


class GalleryFeed(Protocol):
    """Makes galleries ready, in a thread of its own."""

    def take(self) -> Index | None:
        """A gallery that has come since the last call."""


def goes_on() -> None:
    """What is running goes on with the model that it has begun with."""


class BetweenFrames:
    """Brings in what other threads have made ready. Of the thread that takes the frames.

    Args:
        policies: where another gallery comes into force.
        galleries: makes them ready.
        outputs: of the cameras; they take back who is not enrolled any more.
        jobs: what other threads want done then.
        report: tells MQTT of the gallery; None: there is no broker.
        names: forgets people in time.
        scores: keeps what is counted of unknown people; None: of recordings, nothing.
        check_model: raises ModelChangeError when the agent is to be started anew.
    """

    def __init__(
        self,
        policies: CameraPolicies,
        galleries: GalleryFeed,
        *,
        outputs: Sequence[EventOutput],
        jobs: FrameJobs,
        report: GalleryReport | None,
        names: NameGiver,
        scores: ScoreFile | None = None,
        check_model: Callable[[], None] = goes_on,
    ) -> None:
        self._policies = policies
        self._galleries = galleries
        self._index = policies.index  # of which nobody removed is to be taken back any more
        self._outputs = outputs
        self._jobs = jobs
        self._report = report
        self._names = names
        self._scores = scores
        self._check_model = check_model

    def run(
        self, camera: str | None, frame: Frame | None, settle: Callable[[], None] = lambda: None
    ) -> None:
        """Take less than a frame's time.

        Args:
            camera: whose frame it is; None: of none.
            frame: the next to be looked at; None: none comes.
            settle: ends the looks in hand, of all cameras, and commits what they bring; called
                ahead of whatever they are not to be in the midst of.

        Raises:
            ModelChangeError: the gallery in force is of another model.
        """
        self._check_model()
        index = self._galleries.take()
        if index is not None:
            settle()
            self._policies.use_gallery(index)
        self._jobs.run(camera, frame, settle)
        if self._policies.index is not self._index:
            self._index = self._policies.index
            for output in self._outputs:  # ahead of the report, which has all that names them wiped
                output.take_back_removed()
        if self._report:
            self._report.bring_up_to_date()
        self._names.forget_due()
        if self._scores:
            self._scores.save_when_due()
