"""Who may this be? Photos or crops of one person against a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.types import Candidate, Decision
from edge_reid.enrolment.photo_embedding import (
    NO_PICK,
    EmbeddedPhoto,
    PhotoEmbedder,
    PhotoInput,
    Pick,
    load_photo,
)
from edge_reid.enrolment.same_person import TwoPeople, find_two_people
from edge_reid.matching.decide import decide
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index

FEW_CROPS = DecideSettings().min_crops
"""An agent waits for so many crops of a track before it decides."""


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """What a gallery says of somebody."""

    photos: tuple[EmbeddedPhoto, ...]
    candidates: tuple[Candidate, ...]
    """The most similar first."""
    decision: Decision
    settings: DecideSettings
    """That it was decided by."""
    threshold_is_measured: bool
    """False: the threshold lies beyond what was measured for the model."""
    two_people: TwoPeople | None
    """Why the photos may show more than one person; None: nothing says so."""
    model_id: str
    gallery_version: int


def identify(
    photos: Sequence[PhotoInput],
    embedder: PhotoEmbedder,
    index: Index,
    *,
    pick: Pick = NO_PICK,
    settings: DecideSettings | None = None,
    top: int = 5,
) -> Identification:
    """Decide who photos of one person show, taken together as the crops of a track are.

    Args:
        photos: at least one.
        embedder: makes embeddings of the gallery's model.
        index: the gallery.
        pick: which person of each photo is meant.
        settings: None: one crop is enough, the rest by default.
        top: so many candidates at most.

    Raises:
        PhotoError: a photo cannot be read, or shows not one person.
        UsageError: the picked box or number is not in the photo.
        ModelMismatchError: the gallery is of another model.
    """
    settings = settings or DecideSettings(min_crops=1)
    embedded = tuple(embedder.embed(load_photo(photo), pick) for photo in photos)
    embeddings = [photo.embedding for photo in embedded]
    thresholds = GalleryThresholds.of(embedder.manifest)
    asked = settings.target_fpir, index.templates_each
    vector = mean_vector(embeddings, index.model_id)
    return Identification(
        photos=embedded,
        candidates=() if vector is None else tuple(index.search(vector, k=top)),
        decision=decide(
            embeddings, index, threshold=thresholds.threshold(*asked), settings=settings
        ),
        settings=settings,
        threshold_is_measured=thresholds.is_measured(*asked),
        two_people=find_two_people(embeddings, embedder.manifest),
        model_id=index.model_id,
        gallery_version=index.version,
    )
