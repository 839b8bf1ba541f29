"""Takes an operator's word that a published name is wrong.

The name is taken back where it was published, the tracks of that visit do not get it again, and the
doctor of the gallery hears of the template that misled.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.corrections import PublishedName
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.watched_camera import WatchedCamera
from edge_reid.core.errors import GalleryError, UsageError
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.index import exact_similarities
from edge_reid.wire.events import Event, event_id

_log = logging.getLogger(__name__)

REMEMBERED = 200
"""What was taken back, for whoever looks at it."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What became of a wrong name."""

    name: PublishedName
    corrections: int
    """Published: one a track of the visit."""
    doctor: str
    """What the doctor of the gallery was told, in words."""

    @property
    def corrections_text(self) -> str:
        """How many were published, in words."""
        return f"{self.corrections} correction{'s' * (self.corrections != 1)} published"

    @property
    def in_words(self) -> str:
        """In one line."""
        name = self.name
        said = f"track {name.track_id} was not {name.identity}"
        return f"{said}: {self.corrections_text}; {self.doctor}"


class WrongNames:
    """Any thread may call it; one wrong name is taken back at a time.

    Args:
        cameras: of the agent.
        jobs: by which names are taken back between two frames.
        policies: who is enrolled; what was said of others is forgotten.
        gallery: file of the device's own gallery; None: it follows a published one.
    """

    def __init__(
        self,
        cameras: Sequence[WatchedCamera],
        jobs: FrameJobs,
        policies: CameraPolicies,
        gallery: Path | None,
    ) -> None:
        self._cameras = {camera.name: camera for camera in cameras}
        self._jobs = jobs
        self._policies = policies
        self._gallery = gallery
        self._lock = threading.Lock()
        self._done: dict[PublishedName, TakenBack] = {}

    @property
    def done(self) -> tuple[TakenBack, ...]:
        """What was taken back lately of people who are enrolled, oldest first."""
        enrolled = self._policies.index
        return tuple(one for one in self._done.values() if one.name.identity in enrolled)

    def take_back(self, name: PublishedName) -> TakenBack:
        """Take back what was published of a track.

        Raises:
            UsageError: no such name is published, or it was taken back.
            SourceError: no frame came in time; nothing was changed.
            CancelledError: the agent stops.
        """
        with self._lock:
            wrong: list[Event] = []
            camera = self._cameras[name.camera]
            self._jobs.do(lambda: wrong.extend(camera.take_back(name)))
            if not wrong:
                raise UsageError(
                    f"track {name.track_id}: expected one that is published as {name.identity}, "
                    "got one that is not, or long ago, or that was taken back; nothing was changed"
                )
            return self._remember(TakenBack(name, len(wrong), self._tell_doctor(name, wrong[-1])))

    def take_event_back(self, its_event_id: str) -> TakenBack:
        """The same, by the id of any event that told the name.

        Raises:
            UsageError: no such event is known, or what it told was taken back; and as `take_back`.
        """
        found: list[PublishedName] = []

        def look() -> None:
            names = (camera.output.published_as(its_event_id) for camera in self._cameras.values())
            found.extend(filter(None, names))

        self._jobs.do(look)
        if not found:
            raise UsageError(
                f"event {its_event_id}: expected the id of a hit that this agent has published "
                "since its start and not taken back, got another; nothing was changed"
            )
        return self.take_back(found[0])

    def _remember(self, taken: TakenBack) -> TakenBack:
        name = taken.name  # which is in no log
        _log.info("camera %s: track %d: its name was taken back", name.camera, name.track_id)
        newest = (*self.done, taken)[-REMEMBERED:]
        self._done = {one.name: one for one in newest}  # others may be looking at the one before
        return taken

    def _tell_doctor(self, name: PublishedName, wrong: Event) -> str:
        """What it was told, or why it was not; the correction is out anyway."""
        if self._gallery is None:
            return (
                "the gallery comes from elsewhere: tell whoever publishes it, for its doctor to "
                "look at"
            )
        try:
            told = _complain(self._gallery, name.identity, wrong)
        except GalleryError as error:
            _log.warning("the doctor of the gallery was not told: %s", error)
            return f"the doctor of the gallery could not be told: {error}"
        return told or "no template is left of which the doctor of the gallery could be told"


def _complain(gallery: Path, identity: str, wrong: Event) -> str | None:
    """Note in a gallery which template misled; None: there is none any more.

    Raises:
        GalleryError: it cannot be read or written, or is of another model.
    """
    with GalleryStore.open(gallery, model_id=wrong.origin.model_id) as store:
        templates = store.templates(identity)
        vector = mean_vector(wrong.hit.embeddings, store.model_id) if templates else None
        if vector is None:
            return None
        alike = exact_similarities(vector, np.stack([each.vector for each in templates]))
        worst = templates[int(alike.argmax())]
        assert worst.template_id is not None, "it is stored"  # noqa: S101
        store.complain(
            worst.template_id,
            similarity=float(alike.max()),
            event_id=event_id(wrong.hit, wrong.origin),
        )
    return (  # without the photo's name, which is not published
        f"the doctor of the gallery knows that template {worst.template_id} misled, with a "
        f"similarity of {alike.max():.2f}"
    )
