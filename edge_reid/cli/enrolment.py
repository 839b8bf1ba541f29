"""What `gallery enroll` does between the command line and the store. Heavy to import."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from edge_reid.cli.photos import Pick, Studio, subject_text
from edge_reid.core.config import DecideSettings
from edge_reid.core.errors import PhotoError
from edge_reid.core.threshold import threshold_for
from edge_reid.core.types import Template
from edge_reid.gallery.clash import Clash, clashes
from edge_reid.gallery.store import GalleryStore
from edge_reid.vision.photo import read_photo


def portray(
    identity: str, photos: Sequence[Path], pick: Pick, studio: Studio, store: GalleryStore
) -> dict[Path, Template]:
    """A template of each photo that is new for this identity; raises for all bad ones at once."""
    sources = set(store.sources(identity))
    templates: dict[Path, Template] = {}
    mistakes: list[str] = []
    for path in photos:
        try:
            photo = read_photo(path)
            if photo.sha256 in sources:
                typer.echo(f"{path}: skipped, enrolled as {identity} already")
                continue
            sources.add(photo.sha256)
            subject = studio.subject(photo, pick)
        except PhotoError as error:
            mistakes.append(str(error))
            continue
        typer.echo(subject_text(photo, subject))
        made = studio.embedding(subject)
        templates[path] = Template(
            identity, made.vector, made.model_id, made.quality, photo.sha256, time.time()
        )
    if mistakes:
        raise PhotoError(f"nobody was enrolled: {'; '.join(mistakes)}")
    return templates


def warnings_of(
    enrolled: Mapping[Path, Template], studio: Studio, store: GalleryStore
) -> list[str]:
    """What to say of the photos that look more like somebody else; `store` is without them yet."""
    before = store.snapshot()
    threshold = threshold_for(
        studio.manifest.impostor_quantiles, DecideSettings().target_fpir, len(before.labels)
    )
    photos = tuple(enrolled)
    return [
        f"{photos[clash.number]} {_trouble(clash)}; check the photo"
        for clash in clashes(tuple(enrolled.values()), before, threshold=threshold)
    ]


def _trouble(clash: Clash) -> str:
    other = f"{clash.other.identity} ({clash.other.similarity:.2f})"
    if clash.own_similarity is None:
        return f"would be taken for {other}"
    return f"is closer to {other} than to its own identity ({clash.own_similarity:.2f})"
