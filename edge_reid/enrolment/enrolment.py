"""What `gallery enroll` does between the command line and the store. Heavy to import."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import typer

from edge_reid.core.config import DecideSettings
from edge_reid.core.errors import PhotoError
from edge_reid.core.types import Template
from edge_reid.enrolment.photo_embedding import PhotoEmbedder, Pick, subject_text
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.conflicts import TemplateConflict, find_conflicts, same_photos
from edge_reid.matching.threshold import threshold_for
from edge_reid.vision.photo import read_photo

Enrolled = Mapping[str, Mapping[Path, Template]]
"""By identity, then by photo."""


def portray_all(
    people: Mapping[str, Sequence[Path]],
    pick: Pick,
    studio: PhotoEmbedder,
    store: GalleryStore,
    *,
    anew: bool = False,
) -> Enrolled:
    """A template of each photo that is new for its identity, or `anew` of each.

    Raises:
        PhotoError: for all bad photos at once.
    """
    mistakes: list[str] = []
    enrolled = {
        identity: dict(
            _portray(
                identity,
                photos,
                pick,
                studio,
                known=frozenset() if anew else store.sources(identity),
                mistakes=mistakes,
            )
        )
        for identity, photos in people.items()
    }
    if mistakes:
        raise PhotoError(f"nobody was enrolled: {'; '.join(mistakes)}")
    return enrolled


def _portray(
    identity: str,
    photos: Sequence[Path],
    pick: Pick,
    studio: PhotoEmbedder,
    *,
    known: frozenset[str],
    mistakes: list[str],
) -> Iterator[tuple[Path, Template]]:
    """Photos and their templates; notes what is wrong with the others."""
    sources = set(known)
    for path in photos:
        try:
            photo = read_photo(path)
            if photo.sha256 in sources:
                where = (
                    f"enrolled as {identity} already" if photo.sha256 in known else "given twice"
                )
                typer.echo(f"{path}: skipped, {where}")
                continue
            sources.add(photo.sha256)
            subject = studio.subject(photo, pick)
        except PhotoError as error:
            mistakes.append(str(error))
            continue
        typer.echo(subject_text(photo, subject))
        made = studio.embedding(subject)
        yield (
            path,
            Template(
                identity,
                made.vector,
                made.model_id,
                made.quality,
                photo.sha256,
                time.time(),
                photo_name=os.fsencode(path).decode("utf-8", "backslashreplace"),
            ),
        )


def warnings_of(
    enrolled: Enrolled, studio: PhotoEmbedder, store: GalleryStore, *, anew: bool = False
) -> list[str]:
    """What to say of photos that are somebody else's, or look so; `store` is without them yet."""
    before = [each for each in store.templates() if not (anew and each.identity in enrolled)]
    threshold = threshold_for(
        studio.manifest.impostor_quantiles, DecideSettings().target_fpir, max(1, len(before))
    )
    return [
        warning
        for identity, theirs in enrolled.items()
        for warning in _warnings(theirs, [*before, *_others(enrolled, identity)], threshold)
    ]


def _others(enrolled: Enrolled, identity: str) -> Iterator[Template]:
    return chain.from_iterable(
        theirs.values() for name, theirs in enrolled.items() if name != identity
    )


def _warnings(
    theirs: Mapping[Path, Template], before: Sequence[Template], threshold: float
) -> Iterator[str]:
    photos, templates = tuple(theirs), tuple(theirs.values())
    twins = same_photos(templates, before, threshold=threshold)
    for number, other in twins.items():
        yield (
            f"{photos[number]} is the very photo that {other} is enrolled with, so one of the two "
            "names is wrong; `edge-reid gallery doctor` says how to remove either"
        )
    for clash in find_conflicts(templates, before, threshold=threshold):
        if clash.number not in twins:
            yield f"{photos[clash.number]} {_trouble(clash)}; check the photo"


def _trouble(clash: TemplateConflict) -> str:
    other = f"{clash.other.identity} ({clash.other.similarity:.2f})"
    if clash.own_similarity is None:
        return f"would be taken for {other}"
    return f"is closer to {other} than to its own identity ({clash.own_similarity:.2f})"
