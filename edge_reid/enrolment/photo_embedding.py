"""From a photo or a crop to an embedding: what enrolling and identifying share. Heavy to import."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from edge_reid.core.bundled_models import default_model
from edge_reid.core.geometry import Box
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.core.types import Embedding, Image
from edge_reid.matching.vectors import vector_sha256
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.embed import Embedder
from edge_reid.vision.photo import Photo, read_photo
from edge_reid.vision.subject import (
    CROP_SCORE,
    BoxOrigin,
    PhotoSubject,
    find_subject,
    numbered_subject,
    subject_at,
)

PhotoInput: TypeAlias = Path | Photo
"""A file, or a picture that is in memory already: of an upload (`vision.photo.decode_photo`), or a
crop (`photo_of_image`)."""


@dataclass(frozen=True, slots=True)
class Pick:
    """Which person of a photo is meant, when somebody says so."""

    box: Box | None = None
    largest: bool = False
    number: int | None = None
    """As `CrowdedPhotoError` counts the people of the photo, from 1."""


NO_PICK = Pick()
"""The photo must show one person."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPhoto:
    """The person of a photo."""

    path: Path
    """Of the file; of a picture in memory its name."""
    sha256: str
    """Hex, of the file's bytes."""
    box: Box
    """Where the person is."""
    origin: BoxOrigin
    score: float | None
    """The detector's; None for a box that was given."""
    embedding: Embedding
    """With its quality, 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedView:
    """A person as a camera of ours saw them, embedded then and there."""

    path: Path
    """What messages call it; there is no file."""
    embedding: Embedding

    @property
    def sha256(self) -> str:
        """Hex, of the embedding itself: the same view is enrolled once."""
        return vector_sha256(self.embedding.vector)


class PhotoEmbedder:
    """The models that make embeddings of photos; each is loaded when first needed.

    Args:
        model: an embedding model; None: the default.
        detector: of persons; None: the default.

    Raises:
        ModelError: the manifest of the embedding model is missing or wrong.
    """

    def __init__(self, model: Path | None = None, detector: Path | None = None) -> None:
        self._model_path = model or default_model("embedding")
        self._detector_path = detector or default_model("detector")
        self.manifest: EmbeddingManifest = load_embedding_manifest(self._model_path)
        """Of the embedding model."""

    def embed(self, photo: Photo, pick: Pick) -> EmbeddedPhoto:
        """The person meant, embedded.

        Raises:
            PhotoError: it shows nobody, or it is not clear who is meant.
            UsageError: the picked box or number is not in the photo.
            ModelError: a model cannot be loaded.
        """
        subject = self._subject(photo, pick)
        vector = self._embedder.embed([subject.image])[0]
        embedding = Embedding(vector, self.manifest.model_id, subject.quality)
        return EmbeddedPhoto(
            photo.path, photo.sha256, subject.box, subject.origin, subject.score, embedding
        )

    def check_pick(self, photo: Photo, pick: Pick) -> None:
        """Check that whoever was picked, if anybody, is in a photo that is not embedded.

        Raises:
            PhotoError: the picked box shows nobody.
            UsageError: the picked box or number is not in the photo.
        """
        if pick.box is not None or pick.number is not None:
            self._subject(photo, pick)

    def _subject(self, photo: Photo, pick: Pick) -> PhotoSubject:
        if pick.box is not None:
            return subject_at(photo, pick.box, self._detector)
        if pick.number is not None:
            return numbered_subject(photo, pick.number, self._detector)
        return find_subject(photo, self._detector, largest=pick.largest)

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder(self._model_path)

    @cached_property
    def _detector(self) -> Detector:
        return load_detector(self._detector_path, weak_score=CROP_SCORE)


def load_photo(photo: PhotoInput) -> Photo:
    """The picture; raises PhotoError when a file is none that can be read."""
    return read_photo(photo) if isinstance(photo, Path) else photo


def photo_of_image(name: str, image: Image) -> Photo:
    """A picture that no file has, such as a track's crop.

    Args:
        name: what messages call it.
        image: RGB uint8 (H, W, 3). Its pixels are hashed, so that it is enrolled once.
    """
    digest = hashlib.sha256(repr(image.shape).encode() + image.tobytes())
    return Photo(Path(name), image, digest.hexdigest())
