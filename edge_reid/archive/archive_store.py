"""What every archive offers, wherever it is kept: to those who index, and to those who search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archived_track import VideoTracks
from edge_reid.core.errors import ModelMismatchError, StoreError
from edge_reid.core.manifest import (
    model_in_words,
    shipped_detector_of,
    shipped_model_of,
    shipped_name,
)
from edge_reid.core.progress import StageProgress
from edge_reid.core.types import Vector


@dataclass(frozen=True, slots=True)
class ArchiveModels:
    """What an archive was made with: embeddings of others are not comparable."""

    model_id: str
    dimension: int
    detector_sha256: str

    def check(self, given: ArchiveModels, name: str) -> None:
        """Make sure that an archive of these may get tracks of what was given.

        Raises:
            ModelMismatchError: those are other models.
        """
        if given != self:
            raise ModelMismatchError(
                f"{name}: expected an archive of model {model_in_words(given.model_id)}, got one "
                f"of {model_in_words(self.model_id)} or of another detector; give its --model and "
                "--detector, or another --out"
            )

    def shipped_embedding(self, name: str) -> Path:
        """The shipped embedding model that goes with an archive of these.

        Raises:
            ModelMismatchError: it is none that is shipped.
        """
        return shipped_model_of(f"archive {name}", self.model_id, ", or index the videos anew")

    def shipped_detector(self, name: str) -> Path:
        """The shipped detector that goes with an archive of these.

        Raises:
            ModelMismatchError: it is none that is shipped.
        """
        return shipped_detector_of(
            f"archive {name}", self.detector_sha256, ", or index the videos anew"
        )

    def check_search(self, model_id: str, name: str) -> None:
        """Make sure that an archive of these may be searched with embeddings of a model.

        Raises:
            ModelMismatchError: it is another model.
        """
        if model_id != self.model_id:
            raise ModelMismatchError(
                f"archive {name}: expected one of model {model_in_words(model_id)}, got one of "
                f"{model_in_words(self.model_id)}; give "
                f"{shipped_name(self.model_id) or 'that model'} as --model, or index the videos "
                "anew"
            )


class ArchiveAccessError(StoreError):
    """An archive does not let us in, whatever the video: the login is wrong."""


class ArchiveStore(Protocol):
    """Keeps the tracks of videos, each video whole or not at all, and finds who is alike.

    Any number of processes may write to one at once, and others search it meanwhile.
    """

    @property
    def models(self) -> ArchiveModels:
        """What it was made with."""

    def has(self, sha256: str) -> bool:
        """Whether this video is in it, under whatever name.

        Raises:
            StoreError: it cannot be read.
        """

    def add(self, video: VideoTracks) -> int:
        """Put the tracks of a video into it; returns how many are new.

        Raises:
            StoreError: it cannot be written.
        """

    def make_index(self, progress: StageProgress) -> None:
        """Make, or bring up to date, the approximate index that a large archive needs.

        Raises:
            StoreError: the archive cannot be read, or the index not be written.
        """

    def find(
        self, vector: Vector, *, top: int, camera: str | None, progress: StageProgress
    ) -> ArchiveFindings:
        """The tracks most like somebody.

        Args:
            vector: (D,) unit length, of the photos of one person.
            top: so many at most.
            camera: only its tracks; None: all.
            progress: called while it takes long.

        Raises:
            StoreError: it cannot be read, or is damaged.
        """

    def advice(self, found: ArchiveFindings) -> str | None:
        """What would make such a search faster; None: nothing that is needed."""
