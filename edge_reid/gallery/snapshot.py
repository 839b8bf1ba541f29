"""Conversion of enrolled templates to the people of a published gallery, and back."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from edge_reid.core.errors import SnapshotError
from edge_reid.core.types import GallerySnapshot, Template, Vectors
from edge_reid.gallery.gallery_head import Head
from edge_reid.gallery.identity import identity_key
from edge_reid.gallery.tree import Fetch, Leaf, Person, Record, place_of, walk
from edge_reid.matching.vectors import are_unit

_CARRIED = np.dtype("<f2")
"""float16 changes a similarity by at most 7e-5 (256 numbers, 20,000 templates), less than the
rounding of an event; int8 with a scale a template, by 3e-3."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A published gallery in memory."""

    snapshot: GallerySnapshot
    """Identities sorted by name, as in `GalleryStore.snapshot`."""
    erased: frozenset[str]
    """Digests (`place_of`) of everybody who was removed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    key: str
    name: str
    vectors: Vectors


def people_of(templates: Iterable[Template]) -> Iterator[Person]:
    """Identities with their templates, as they are published."""
    by_identity: defaultdict[str, list[Template]] = defaultdict(list)
    for template in templates:
        by_identity[template.identity].append(template)
    for identity, theirs in by_identity.items():
        theirs.sort(key=lambda template: template.source_sha256)
        vectors = np.stack([template.vector for template in theirs]).astype(_CARRIED)
        yield Person(
            identity=identity,
            templates=tuple(
                Record(
                    quality=template.quality,
                    source_sha256=template.source_sha256,
                    created_utc_s=template.created_utc_s,
                )
                for template in theirs
            ),
            vectors=base64.b64encode(vectors.tobytes()).decode("ascii"),
        )


def load(head: Head, fetch: Fetch, *, without: frozenset[str] = frozenset()) -> Loaded:
    """Load the gallery of a head into memory.

    Args:
        head: the counts and sizes that the blobs must have.
        fetch: returns blobs, with their hashes checked.
        without: digests (`place_of`) of people to leave out.

    Raises:
        SnapshotError: a blob is not what it should be, or there are more or fewer than the head
            says.
    """
    people: list[_Member] = []
    erased: set[str] = set()
    templates = 0
    for leaf in walk(head.root.ref, fetch, max_blobs=head.blobs, max_bytes=head.size_bytes):
        members = _members(leaf, head.dimension)
        templates += sum(len(member.vectors) for member in members)
        if templates > head.templates:
            break
        people += members
        erased.update(erasure.digest for erasure in leaf.erased)
    if (templates, len(people)) != (head.templates, head.identities):
        raise SnapshotError(
            f"gallery version {head.version}: expected {head.identities} identities with "
            f"{head.templates} templates as its head says, got others; publish it again"
        )
    kept = [person for person in people if not without or place_of(person.name) not in without]
    kept.sort(key=lambda person: person.key)
    return Loaded(_arranged(kept, head), frozenset(erased))


def _members(leaf: Leaf, dimension: int) -> list[_Member]:
    vectors = _vectors(leaf, dimension)
    ends = np.cumsum([len(person.templates) for person in leaf.people])
    return [
        _Member(identity_key(person.identity), person.identity, vectors[end - count : end])
        for person, end in zip(leaf.people, ends, strict=True)
        for count in (len(person.templates),)
    ]


def _vectors(leaf: Leaf, dimension: int) -> Vectors:
    """(n, D) float32: all vectors of a leaf."""
    try:
        carried = [base64.b64decode(person.vectors, validate=True) for person in leaf.people]
    except ValueError as error:
        raise SnapshotError("gallery blob: expected vectors in base64, got others") from error
    size = dimension * _CARRIED.itemsize
    if any(
        len(body) != len(person.templates) * size
        for body, person in zip(carried, leaf.people, strict=True)
    ):
        raise SnapshotError(f"gallery blob: expected {dimension} numbers a template, got others")
    vectors = np.frombuffer(b"".join(carried), _CARRIED).astype(np.float32).reshape(-1, dimension)
    if not are_unit(vectors):
        raise SnapshotError("gallery blob: expected vectors of unit norm, got others")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _arranged(people: list[_Member], head: Head) -> GallerySnapshot:
    counts = [len(person.vectors) for person in people]
    vectors = np.empty((sum(counts), head.dimension), np.float32)
    end = 0
    for person in people:  # person by person, so that other threads run in between
        start, end = end, end + len(person.vectors)
        vectors[start:end] = person.vectors
    return GallerySnapshot(
        identities=tuple(person.name for person in people),
        labels=np.repeat(np.arange(len(people), dtype=np.int32), counts),
        vectors=vectors,
        model_id=head.model_id,
        version=head.version,
    )
