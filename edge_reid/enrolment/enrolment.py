"""Photos of people become templates of a gallery.

`prepare_enrolment` looks at the photos and says what speaks against them; `store_enrolment` writes.
Between the two a person may be asked.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TypeAlias, TypeVar

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.errors import PhotoError
from edge_reid.core.types import Template
from edge_reid.enrolment.photo_embedding import (
    NO_PICK,
    EmbeddedPhoto,
    EmbeddedView,
    PhotoEmbedder,
    PhotoInput,
    Pick,
    load_photo,
)
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.template_conflicts import find_conflicts, same_photos
from edge_reid.vision.photo import Photo
from edge_reid.vision.unclear_photo import (
    OTHER_PHOTOS,
    CrowdedPhotoError,
    EmptyPhotoError,
    UnclearPhotoError,
    choice_of_person,
)

_Unclear = TypeVar("_Unclear", bound=UnclearPhotoError)


class RefusedPhotosError(PhotoError):
    """Photos that give no template; because of them nobody was enrolled."""

    def __init__(self, mistakes: Sequence[PhotoError]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(f"nobody was enrolled: {'; '.join([*self._photos, *self._remedies])}")

    @property
    def lines(self) -> tuple[str, ...]:
        """Of several photos a line each; what several of them have in common comes at the end."""
        if len(self.mistakes) == 1:
            return (str(self),)
        heading = f"nobody was enrolled: {len(self.mistakes)} photos give no template"
        return (heading, *(f"  - {photo}" for photo in self._photos), *self._remedies)

    @property
    def _photos(self) -> tuple[str, ...]:
        """What is wrong with each; also what to do, unless that is said once for several."""
        shared = (*self._shared(CrowdedPhotoError), *self._shared(EmptyPhotoError))
        return tuple(
            mistake.seen
            if isinstance(mistake, UnclearPhotoError) and mistake in shared
            else str(mistake)
            for mistake in self.mistakes
        )

    @property
    def _remedies(self) -> tuple[str, ...]:
        """What to do about several crowded photos, and about several that show nobody."""
        crowded, empty = self._shared(CrowdedPhotoError), self._shared(EmptyPhotoError)
        remedies = []
        if crowded:
            remedies.append(
                f"{len(crowded)} photos show several people: {choice_of_person(crowded)}"
            )
        if empty:
            remedies.append(f"{len(empty)} photos show nobody: {OTHER_PHOTOS}")
        return tuple(remedies)

    def _shared(self, kind: type[_Unclear]) -> list[_Unclear]:
        """The mistakes of a kind, if there are several."""
        found = [mistake for mistake in self.mistakes if isinstance(mistake, kind)]
        return found if len(found) > 1 else []


class SkipReason(Enum):
    """Why a photo gives no template."""

    ENROLLED = "enrolled already"
    REPEATED = "given twice"


@dataclass(frozen=True, slots=True)
class SkippedPhoto:
    """A photo that gives no template."""

    path: Path
    identity: str
    reason: SkipReason


@dataclass(frozen=True, slots=True, eq=False)
class EnrolledPhoto:
    """A photo or a view, and its template."""

    photo: EmbeddedPhoto | EmbeddedView
    template: Template


@dataclass(frozen=True, slots=True)
class PhotoConflict:
    """A photo that is somebody else's, or looks so."""

    path: Path
    identity: str
    """As whom it is enrolled."""
    other: str
    similarity: float | None
    """To the other; None: it is the very photo that the other is enrolled with."""
    own_similarity: float | None = None
    """To the nearest other template of its identity; None when there is none."""

    @property
    def message(self) -> str:
        """What it means, and what to do on a command line."""
        if self.similarity is None:
            return f"{self.what}; `edge-reid gallery doctor` says how to remove either"
        return self.what

    @property
    def what(self) -> str:
        """What it means."""
        if self.similarity is None:
            return (
                f"{self.path} is the very photo that {self.other} is enrolled with, so one of the "
                "two names is wrong"
            )
        if self.own_similarity is None:
            other = f"{self.other} ({self.similarity:.2f})"
            return f"{self.path} would be taken for {other}; check the photo"
        other, own = _distinct(self.similarity, self.own_similarity)
        if other == own:
            return (
                f"{self.path} is as close to {self.other} as to its own identity ({own}); check "
                "the photo"
            )
        return (
            f"{self.path} is closer to {self.other} ({other}) than to its own identity ({own}); "
            "check the photo"
        )


def _distinct(one: float, two: float) -> tuple[str, str]:
    """Two similarities with two digits each, or with as many as tell them apart, four at most."""
    digits = next((count for count in (2, 3) if f"{one:.{count}f}" != f"{two:.{count}f}"), 4)
    return f"{one:.{digits}f}", f"{two:.{digits}f}"


@dataclass(frozen=True, slots=True, eq=False)
class Enrolment:
    """What is about to be enrolled. Nothing of it is stored yet."""

    enrolled: Mapping[str, tuple[EnrolledPhoto, ...]]
    """By identity."""
    skipped: tuple[SkippedPhoto, ...]
    conflicts: tuple[PhotoConflict, ...]
    """What should be said; none of them forbids anything."""
    replaces: bool
    """Whether the templates take the place of all that their identities have."""

    @property
    def templates(self) -> tuple[Template, ...]:
        """Of all identities."""
        photos = chain.from_iterable(self.enrolled.values())
        return tuple(photo.template for photo in photos)


PhotoOutcome: TypeAlias = EnrolledPhoto | SkippedPhoto


def prepare_enrolment(
    people: Mapping[str, Sequence[PhotoInput | EmbeddedView]],
    embedder: PhotoEmbedder,
    store: GalleryStore,
    *,
    pick: Pick = NO_PICK,
    replace: bool = False,
    on_photo: Callable[[PhotoOutcome], None] = lambda _: None,
) -> Enrolment:
    """Make a template of each photo that is new for its identity.

    Args:
        people: by identity, as the gallery spells names; photos of them, or views of a camera.
        embedder: makes embeddings of the gallery's model.
        store: the gallery; nothing is written.
        pick: which person of each photo is meant.
        replace: make a template of every photo, to take the place of all that the identities have.
        on_photo: called after each photo.

    Raises:
        RefusedPhotosError: for all bad photos at once.
        GalleryError: somebody is enrolled in another spelling.
        UsageError: the picked box or number is not in the photo.
    """
    for identity in people:
        store.check_spelling(identity)  # before photos take their time
    enrolled: dict[str, tuple[EnrolledPhoto, ...]] = {}
    skipped: list[SkippedPhoto] = []
    reader = _PhotoReader(embedder, pick, on_photo)
    for identity, photos in people.items():
        known = frozenset() if replace else store.sources(identity)
        outcomes = list(reader.outcomes(identity, photos, known))
        enrolled[identity] = tuple(
            outcome for outcome in outcomes if isinstance(outcome, EnrolledPhoto)
        )
        skipped += [outcome for outcome in outcomes if isinstance(outcome, SkippedPhoto)]
    if reader.mistakes:
        raise RefusedPhotosError(reader.mistakes)
    before = _templates_before(store, enrolled, replace=replace)
    conflicts = tuple(_conflicts(enrolled, before, embedder))
    return Enrolment(enrolled, tuple(skipped), conflicts, replace)


def store_enrolment(enrolment: Enrolment, store: GalleryStore) -> tuple[Template, ...]:
    """Write all templates, or none; returns them with their numbers.

    Raises:
        GalleryError: the gallery cannot be written.
    """
    if not enrolment.templates:
        return ()
    if enrolment.replaces:
        return store.replace_all(enrolment.templates)
    return store.add_all(enrolment.templates)


class _PhotoReader:
    """Makes templates of photos, and collects what is wrong with those that give none."""

    def __init__(
        self, embedder: PhotoEmbedder, pick: Pick, on_photo: Callable[[PhotoOutcome], None]
    ) -> None:
        self._embedder = embedder
        self._pick = pick
        self._on_photo = on_photo
        self.mistakes: list[PhotoError] = []

    def outcomes(
        self, identity: str, photos: Sequence[PhotoInput | EmbeddedView], known: frozenset[str]
    ) -> Iterator[PhotoOutcome]:
        """What comes of each photo that can be used; `known` are the SHA-256 of those enrolled."""
        sources = set(known)
        for given in photos:
            try:
                photo = given if isinstance(given, EmbeddedView) else load_photo(given)
                outcome = self._outcome(identity, photo, sources, is_known=photo.sha256 in known)
            except PhotoError as error:
                self.mistakes.append(error)
                continue
            self._on_photo(outcome)
            yield outcome

    def _outcome(
        self,
        identity: str,
        photo: Photo | EmbeddedView,
        sources: set[str],
        *,
        is_known: bool,
    ) -> PhotoOutcome:
        if photo.sha256 in sources:
            if isinstance(photo, Photo):
                self._embedder.check_pick(photo, self._pick)
            reason = SkipReason.ENROLLED if is_known else SkipReason.REPEATED
            return SkippedPhoto(photo.path, identity, reason)
        sources.add(photo.sha256)
        seen = photo if isinstance(photo, EmbeddedView) else self._embedder.embed(photo, self._pick)
        return EnrolledPhoto(seen, _template(identity, seen))


def _template(identity: str, photo: EmbeddedPhoto | EmbeddedView) -> Template:
    return Template(
        identity,
        photo.embedding.vector,
        photo.embedding.model_id,
        photo.embedding.quality,
        photo.sha256,
        time.time(),
        photo_name=os.fsencode(photo.path).decode("utf-8", "backslashreplace"),
    )


def _templates_before(
    store: GalleryStore, enrolled: Mapping[str, object], *, replace: bool
) -> list[Template]:
    """What is in the gallery, and stays there."""
    return [
        template
        for template in store.templates()
        if not (replace and template.identity in enrolled)
    ]


def _conflicts(
    enrolled: Mapping[str, tuple[EnrolledPhoto, ...]],
    before: list[Template],
    embedder: PhotoEmbedder,
) -> Iterator[PhotoConflict]:
    templates_each = tuple(Counter(template.identity for template in before).values())
    thresholds = GalleryThresholds.of(embedder.manifest)
    threshold = thresholds.threshold(DecideSettings().target_fpir, templates_each)
    for identity, photos in enrolled.items():
        others = (
            photo for name, theirs in enrolled.items() if name != identity for photo in theirs
        )
        rest = [*before, *(photo.template for photo in others)]
        yield from _conflicts_of(identity, photos, rest, threshold)


def _conflicts_of(
    identity: str, photos: Sequence[EnrolledPhoto], rest: Sequence[Template], threshold: float
) -> Iterator[PhotoConflict]:
    twins = same_photos([photo.template for photo in photos], rest, threshold=threshold)
    for number, other in twins.items():
        yield PhotoConflict(photos[number].photo.path, identity, other, None)
    # A photo of somebody else says nothing about how alike the others are to their own.
    own = [photo for number, photo in enumerate(photos) if number not in twins]
    for found in find_conflicts([photo.template for photo in own], rest, threshold=threshold):
        yield PhotoConflict(
            own[found.number].photo.path,
            identity,
            found.other.identity,
            found.other.similarity,
            found.own_similarity,
        )
