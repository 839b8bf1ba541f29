"""What speaks against an enrolment before it is stored, in sentences for whoever decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Template
from edge_reid.enrolment.enrolment import EnrolledPhoto, Enrolment
from edge_reid.enrolment.gallery_examination import bars_for
from edge_reid.gallery.findings import Bars, Finding, Kind
from edge_reid.gallery.gallery_doctor import examine
from edge_reid.gallery.store import GalleryStore


def concerns_about(
    enrolment: Enrolment, store: GalleryStore, manifest: EmbeddingManifest
) -> tuple[str, ...]:
    """The doctor's word on an enrolment: photos that are or look like somebody else's, that are far
    from the person's other ones, or poor, and two people under one name. Empty: all well.

    Raises:
        GalleryError: the gallery cannot be read.
    """
    bars = bars_for(store.templates(), manifest)
    words = [conflict.what for conflict in enrolment.conflicts]
    for identity, photos in enrolment.enrolled.items():
        before = () if enrolment.replaces else store.templates(identity)
        words += _words_of_doctor(before, photos, bars)
    return tuple(words)


def _words_of_doctor(
    before: Sequence[Template], photos: Sequence[EnrolledPhoto], bars: Bars
) -> Iterator[str]:
    """What the doctor would find of one person by themselves with the new photos."""
    paths = {-number: photo.photo.path for number, photo in enumerate(photos, start=1)}
    new = [
        replace(photo.template, template_id=number)
        for number, photo in zip(paths, photos, strict=True)
    ]
    for finding in examine([*before, *new], bars):
        if sentence := _sentence(finding, paths):
            yield sentence


def _sentence(finding: Finding, paths: dict[int, Path]) -> str | None:
    if finding.kind is Kind.TWO_PEOPLE:
        return f"{finding.identity}: {finding.kind.value}: {finding.reason}"
    path = paths.get(finding.template_ids[0])
    return None if path is None else f"{path}: {finding.kind.value}: {finding.reason}"
