"""A gallery as a tree of blobs, in which a small change of the gallery changes few blobs.

The SHA-256 of a person's name is their path through the tree, a hex digit a level. A leaf holds
whole identities, a branch the names of up to 16 blobs. A leaf that is too large becomes a branch.
The same gallery always gives the same tree.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
)

from edge_reid.core.errors import GalleryError, SnapshotError
from edge_reid.core.validation_errors import describe_mistakes
from edge_reid.gallery.gallery_head import Sha256, Size
from edge_reid.gallery.identity import identity_key
from edge_reid.signing.blobs import MAX_BLOB_BYTES, BlobRef, ref_of

_HEX_DIGITS = "0123456789abcdef"

LEAF_BYTES = 24 << 10
"""Most JSON in a leaf of more than one entry; compressed it is about three quarters of that."""


def _at_most_16(children: object) -> object:
    """Refuse a branch with too many children, before each of them is validated."""
    if isinstance(children, dict) and len(children) > len(_HEX_DIGITS):
        raise ValueError(f"should be {len(_HEX_DIGITS)} at most, got {len(children)}")
    return children


def _at_least_one(templates: tuple[Record, ...]) -> tuple[Record, ...]:
    """Refuse a person without templates; checked last, so that a wrong template is reported
    alone.
    """
    if not templates:
        raise ValueError("should be one at least")
    return templates


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Record(_Strict):
    """One template, without its vector."""

    quality: Annotated[float, Field(ge=0, le=1)]
    source_sha256: Sha256
    created_utc_s: Annotated[float, Field(allow_inf_nan=False)]


class Person(_Strict):
    """An identity with its templates."""

    identity: Annotated[str, Field(min_length=1, max_length=64)]
    templates: Annotated[
        tuple[Record, ...], Field(strict=False), FailFast(), AfterValidator(_at_least_one)
    ]
    """Sorted by `source_sha256`."""
    vectors: str
    """Base64 of the vectors in this order, D little-endian float16 each."""


class Erasure(_Strict):
    """A person who was removed, and is not enrolled again."""

    digest: Sha256
    """`place_of` the name; the name itself is not kept."""
    version: Annotated[int, Field(gt=0)]
    """The first version without them."""
    erased_utc_s: Annotated[float, Field(allow_inf_nan=False)]


class Leaf(_Strict):
    """A leaf: people, and people who were removed."""

    schema_: Annotated[Literal["edge-reid.gallery-leaf/1"], Field(alias="schema")] = (
        "edge-reid.gallery-leaf/1"
    )
    people: Annotated[tuple[Person, ...], Field(strict=False), FailFast()]
    erased: Annotated[tuple[Erasure, ...], Field(strict=False), FailFast()]


class Branch(_Strict):
    """A branch: the blobs below it, by the next digit."""

    schema_: Annotated[Literal["edge-reid.gallery-branch/1"], Field(alias="schema")] = (
        "edge-reid.gallery-branch/1"
    )
    children: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[0-9a-f]$")],
            Annotated[tuple[Sha256, Size], Field(strict=False)],
        ],
        BeforeValidator(_at_most_16),
    ]


_NODE: TypeAdapter[Leaf | Branch] = TypeAdapter(
    Annotated[Leaf | Branch, Field(discriminator="schema_")]
)


@dataclass(frozen=True, slots=True)
class Tree:
    """All blobs of a gallery, by name."""

    root: BlobRef
    blobs: dict[BlobRef, bytes]


@dataclass(frozen=True, slots=True)
class _Entry:
    place: str
    what: Person | Erasure
    size: int  # of its JSON, about


def place_of(identity: str) -> str:
    """The path of an identity in the tree: hex SHA-256 of `identity_key`."""
    return hashlib.sha256(identity_key(identity).encode()).hexdigest()


def grow(people: Iterable[Person], erasures: Iterable[Erasure]) -> Tree:
    """Build the tree of a gallery."""
    entries = [_Entry(place_of(person.identity), person, _size(person)) for person in people]
    entries += [_Entry(erasure.digest, erasure, 160) for erasure in erasures]
    entries.sort(key=lambda entry: entry.place)
    blobs: dict[BlobRef, bytes] = {}
    return Tree(_grow(entries, 0, blobs), blobs)


Fetch = Callable[[Sequence[BlobRef]], Iterable[bytes]]
"""Returns the blobs of some refs, in their order."""


def walk(root: BlobRef, fetch: Fetch, *, max_blobs: int, max_bytes: int) -> Iterator[Leaf]:
    """Yield every leaf of a tree, level by level; the blobs of a level are fetched together.

    Raises:
        SnapshotError: a blob is no node of a tree, or there are more blobs than the head says.
    """
    level = [("", root)]
    blobs = size = 0
    while level:
        blobs, size = blobs + len(level), size + sum(ref.size_bytes for _, ref in level)
        if blobs > max_blobs or size > max_bytes:
            raise SnapshotError(
                f"gallery: expected {max_blobs} blobs of {max_bytes} bytes in all as its head "
                "says, got more; publish it again"
            )
        below: list[tuple[str, BlobRef]] = []
        bodies = fetch([ref for _, ref in level])
        for (prefix, _), body in zip(level, bodies, strict=True):
            node = decode(body)
            if isinstance(node, Leaf):
                _check_places(node, prefix)
                yield node
            else:
                below += [
                    (prefix + digit, BlobRef(*child)) for digit, child in node.children.items()
                ]
        level = below


def decode(body: bytes) -> Leaf | Branch:
    """The node in a blob.

    Raises:
        SnapshotError: it does not unpack to a node of at most `MAX_BLOB_BYTES`.
    """
    try:
        return _NODE.validate_json(_inflate(body))
    except ValidationError as error:
        raise SnapshotError(
            f"gallery blob: signed, but of another kind: {describe_mistakes(error)[0]}; "
            "update edge-reid on the device"
        ) from error


def encode(node: Leaf | Branch) -> bytes:
    """The blob of a node: its JSON, compressed with zlib."""
    content = node.model_dump(by_alias=True)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return zlib.compress(text.encode(), 6)


def _grow(entries: Sequence[_Entry], depth: int, blobs: dict[BlobRef, bytes]) -> BlobRef:
    if len(entries) <= 1 or sum(entry.size for entry in entries) <= LEAF_BYTES:
        people = tuple(entry.what for entry in entries if isinstance(entry.what, Person))
        erased = tuple(entry.what for entry in entries if isinstance(entry.what, Erasure))
        return _keep(Leaf(people=people, erased=erased), blobs)
    forks: defaultdict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        forks[entry.place[depth]].append(entry)
    children = {digit: _grow(forks[digit], depth + 1, blobs) for digit in sorted(forks)}
    return _keep(
        Branch(children={digit: (ref.sha256, ref.size_bytes) for digit, ref in children.items()}),
        blobs,
    )


def _keep(node: Leaf | Branch, blobs: dict[BlobRef, bytes]) -> BlobRef:
    body = encode(node)
    ref = ref_of(body)
    blobs[ref] = body
    return ref


def _size(person: Person) -> int:
    return 160 * len(person.templates) + len(person.vectors) + 4 * len(person.identity)


def _inflate(body: bytes) -> bytes:
    """Unpack a blob; a compression bomb is cut at `MAX_BLOB_BYTES`."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(body, MAX_BLOB_BYTES)
    except zlib.error as error:
        raise SnapshotError("gallery blob: expected zlib, got something else") from error
    if not unpacker.eof or unpacker.unused_data:
        raise SnapshotError(
            f"gallery blob: expected one zlib stream of at most {MAX_BLOB_BYTES} bytes unpacked, "
            "got more, or a part of one"
        )
    return text


def _check_places(leaf: Leaf, prefix: str) -> None:
    try:
        places = [place_of(person.identity) for person in leaf.people]
    except GalleryError as error:
        raise SnapshotError(f"gallery blob: {error}") from error
    places += [erasure.digest for erasure in leaf.erased]
    if not all(place.startswith(prefix) for place in places) or len(set(places)) < len(places):
        raise SnapshotError(
            f"gallery blob: expected identities at {prefix or 'the root'}, each once, got others; "
            "publish the gallery again"
        )
