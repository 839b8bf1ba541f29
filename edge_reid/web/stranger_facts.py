"""Strangers as the page shows them: values that are made in the gallery's worker."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.types import Candidate
from edge_reid.matching.index import Index
from edge_reid.matching.vectors import vector_sha256
from edge_reid.strangers.stranger import Stranger
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.web.crop_ring import KeptCrop

_ALIKE = 3


@dataclass(frozen=True, slots=True)
class StrangerFacts:
    """One stranger."""

    name: str
    camera: str
    """Where last."""
    times_seen: int
    first_seen_utc_s: float
    last_seen_utc_s: float
    forgotten_utc_s: float
    crops: tuple[int, ...]
    """Numbers of their crops that are still kept, the best first."""
    alike: tuple[Candidate, ...]
    """Other strangers whom they are most like."""
    alike_enrolled: tuple[Candidate, ...]
    """The people enrolled whom they are most like."""


def stranger_facts(
    path: Path, crops: Sequence[KeptCrop], index: Index, only: str | None = None
) -> tuple[StrangerFacts, ...]:
    """All strangers, or one, the last seen first.

    Args:
        path: of their file.
        crops: those that the page keeps.
        index: the gallery in force.
        only: the name of one.

    Raises:
        GalleryError: the file cannot be read, or the one is not in it.
    """
    kept = {vector_sha256(crop.embedding.vector): crop.number for crop in crops}
    with StrangerStore.open_to_read(path) as store:
        if only:
            store.find(only)
        now_utc_s = time.time()
        people = [each for each in store.strangers() if each.forgotten_utc_s > now_utc_s]
        return tuple(
            _facts(each, people, _crops_of(store, each, kept), index)
            for each in sorted(people, key=lambda one: -one.last_seen_utc_s)
            if only in {None, each.name}
        )


def _crops_of(store: StrangerStore, person: Stranger, kept: Mapping[str, int]) -> tuple[int, ...]:
    """A look of a stranger is the embedding of a crop, bit by bit."""
    found = (kept.get(vector_sha256(look.vector)) for look in store.looks(person.name))
    return tuple(number for number in found if number is not None)


def _facts(
    person: Stranger, people: Sequence[Stranger], crops: tuple[int, ...], index: Index
) -> StrangerFacts:
    others = [
        Candidate(other.name, float(other.vector @ person.vector))
        for other in people
        if other is not person
    ]
    return StrangerFacts(
        name=person.name,
        camera=person.camera,
        times_seen=person.times_seen,
        first_seen_utc_s=person.first_seen_utc_s,
        last_seen_utc_s=person.last_seen_utc_s,
        forgotten_utc_s=person.forgotten_utc_s,
        crops=crops,
        alike=tuple(sorted(others, key=lambda one: -one.similarity)[:_ALIKE]),
        alike_enrolled=index.search(person.vector, k=_ALIKE),
    )
