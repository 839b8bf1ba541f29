"""Who is enrolled, as the page shows it: values that are made in the gallery's worker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Candidate, Template
from edge_reid.enrolment.same_person import Likeness, compare_identities
from edge_reid.gallery.curation import DisabledTemplate
from edge_reid.gallery.findings import Finding
from edge_reid.gallery.gallery_queries import IdentitySummary
from edge_reid.gallery.store import GalleryStore
from edge_reid.gallery.tree import place_of
from edge_reid.matching.index import Index
from edge_reid.web.page_gallery import LastChange, PageGallery

_ID_DIGITS = 16
_ALIKE = 3
"""People shown as most like somebody."""


@dataclass(frozen=True, slots=True)
class PeopleFacts:
    """The whole gallery."""

    people: tuple[IdentitySummary, ...]
    findings: tuple[Finding, ...] | None
    """Of the doctor; None: the gallery is too large for this device."""
    last: LastChange | None
    """The newest change of the page, while the gallery is as it left it."""


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """One template in use."""

    number: int
    quality: float
    created_utc_s: float
    photo_name: str | None
    own: float | None
    """Similarity to the nearest other one of the person; None: there is no other."""
    other: Candidate | None
    """Who else it is most like; None: nobody else is enrolled."""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """One person."""

    name: str
    templates: tuple[TemplateFacts, ...]
    disabled: tuple[DisabledTemplate, ...]
    alike: tuple[Candidate, ...]
    """Who else they are most like, by falling similarity."""
    findings: tuple[Finding, ...]
    """That concern them."""
    last: LastChange | None


def person_id(name: str) -> str:
    """What a person is called in addresses: nobody's name is to stand in a browser's history.

    >>> person_id("Anna") == person_id("anna")
    True
    """
    return place_of(name)[:_ID_DIGITS]


def name_of(store: GalleryStore, person: str) -> str:
    """The name of an id; raises GalleryError when nobody has it."""
    for each in store.identities():
        if person_id(each.identity) == person:
            return each.identity
    raise GalleryError("nobody is enrolled under this address any more; look at the list")


def people_facts(store: GalleryStore, gallery: PageGallery) -> PeopleFacts:
    """All who are enrolled. Of the gallery's worker."""
    return PeopleFacts(store.identities(), gallery.findings(store), _last(store, gallery))


def person_facts(
    store: GalleryStore, gallery: PageGallery, index: Index, person: str
) -> PersonFacts:
    """One person. Of the gallery's worker.

    Args:
        store: the gallery.
        gallery: of the page.
        index: the gallery in force.
        person: their id.

    Raises:
        GalleryError: nobody has it.
    """
    name = name_of(store, person)
    enrolled = {each.identity for each in store.identities()} - {name}
    templates = store.templates(name)
    others = [_others(template, name, index, enrolled) for template in templates]
    findings = gallery.findings(store) or ()
    return PersonFacts(
        name=name,
        templates=tuple(_template_facts(templates, others)),
        disabled=store.disabled(name),
        alike=_most_alike(others),
        findings=tuple(each for each in findings if name in {each.identity, each.other}),
        last=_last(store, gallery),
    )


def likeness_of(
    store: GalleryStore, gallery: PageGallery, person: str, other: str
) -> tuple[str, str, Likeness | None]:
    """The names of two ids, and how alike they are; raises GalleryError when nobody has one."""
    name, into = name_of(store, person), name_of(store, other)
    return name, into, compare_identities(store, name, into, gallery.manifest)


def _last(store: GalleryStore, gallery: PageGallery) -> LastChange | None:
    last = gallery.last
    return last if last and last.version == store.version else None


def _others(
    template: Template, name: str, index: Index, enrolled: set[str]
) -> tuple[Candidate, ...]:
    found = index.search(template.vector, k=_ALIKE + 1)
    return tuple(each for each in found if each.identity != name and each.identity in enrolled)


def _template_facts(
    templates: Sequence[Template], others: Sequence[tuple[Candidate, ...]]
) -> list[TemplateFacts]:
    if not templates:
        return []
    vectors = np.stack([template.vector for template in templates])
    between = vectors @ vectors.T
    np.fill_diagonal(between, -np.inf)
    return [
        TemplateFacts(
            number=template.template_id or 0,
            quality=template.quality,
            created_utc_s=template.created_utc_s,
            photo_name=template.photo_name,
            own=float(row.max()) if len(templates) > 1 else None,
            other=theirs[0] if theirs else None,
        )
        for template, row, theirs in zip(templates, between, others, strict=True)
    ]


def _most_alike(others: Sequence[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    best: defaultdict[str, float] = defaultdict(lambda: -1.0)
    for candidate in (each for theirs in others for each in theirs):
        best[candidate.identity] = max(best[candidate.identity], candidate.similarity)
    ranked = sorted(best.items(), key=lambda each: -each[1])
    return tuple(Candidate(name, similarity) for name, similarity in ranked[:_ALIKE])
