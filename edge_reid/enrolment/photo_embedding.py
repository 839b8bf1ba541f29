"""From a photo file to an embedding: what `gallery enroll` and `probe` share. Heavy to import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.errors import UsageError
from edge_reid.core.geometry import Box
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Embedding
from edge_reid.vision.detect import Detector, load_detector
from edge_reid.vision.embed import Embedder
from edge_reid.vision.photo import Photo, read_photo
from edge_reid.vision.subject import CROP_SCORE, PhotoSubject, box_text, find_subject, subject_at


@dataclass(frozen=True, slots=True)
class Pick:
    """Which person of a photo is meant, when the operator says so."""

    box: Box | None = None
    largest: bool = False


class PhotoEmbedder:
    """The models that make embeddings of photos; the detector is loaded when first needed."""

    def __init__(self, model: Path | None, detector: Path | None) -> None:
        self._embedder = Embedder(model or shipped_model(EMBEDDING))
        self._detector_path = detector or shipped_model(DETECTOR)

    @property
    def manifest(self) -> EmbeddingManifest:
        return self._embedder.manifest

    def subject(self, photo: Photo, pick: Pick) -> PhotoSubject:
        """The person meant; raises PhotoError or UsageError when that is nobody or not clear."""
        if pick.box is not None:
            return subject_at(photo, pick.box, self._detector)
        return find_subject(photo, self._detector, largest=pick.largest)

    def subject_of(self, path: Path, pick: Pick) -> tuple[Photo, PhotoSubject]:
        """A photo file, and the person meant in it; raises as `read_photo` and `subject`."""
        photo = read_photo(path)
        return photo, self.subject(photo, pick)

    def embedding(self, subject: PhotoSubject) -> Embedding:
        """Of the subject's crop, with its quality."""
        vector = self._embedder.embed([subject.image])[0]
        return Embedding(vector, self.manifest.model_id, subject.quality)

    @cached_property
    def _detector(self) -> Detector:
        return load_detector(self._detector_path, weak_score=CROP_SCORE)


def parse_pick(box: str | None, *, largest: bool) -> Pick:
    """From the options `--box` and `--largest`.

    Raises:
        UsageError: they are not `x1,y1,x2,y2` with x1 < x2 and y1 < y2, or both are given.
    """
    if box is not None and largest:
        raise UsageError("expected --box or --largest, got both; give one")
    return Pick(None if box is None else _parse_box(box), largest)


def check_pick(pick: Pick, photos: Sequence[Path]) -> None:
    """Raise UsageError if one box is given for several photos."""
    if pick.box is not None and len(photos) > 1:
        raise UsageError(f"--box belongs to one photo, got {len(photos)}; give them one by one")


def subject_text(photo: Photo, subject: PhotoSubject) -> str:
    """One line for the operator: which box, why, and how good it is."""
    score = "" if subject.score is None else f", score {subject.score:.2f}"
    return (
        f"{photo.path}: {box_text(subject.box)} ({subject.origin.value}{score}, "
        f"quality {subject.quality:.2f})"
    )


def _parse_box(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--box: expected x1,y1,x2,y2 in pixels, got {text!r}") from None
    if not (x1 < x2 and y1 < y2):
        raise UsageError(f"--box: expected x1 < x2 and y1 < y2, got {text!r}")
    return Box(x1, y1, x2, y2)
