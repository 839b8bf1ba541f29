"""A gallery, its publisher, and what its devices should have of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_reid.core.types import GallerySnapshot, Template
from edge_reid.gallery.gallery_head import TrustPolicy
from edge_reid.gallery.gallery_install import LoadedGallery, install, load_held, nothing_to_fetch
from edge_reid.gallery.publication import PublishedGallery, publish
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.store import GalleryStore
from edge_reid.signing.blobs import BlobRef
from edge_reid.signing.keys import SigningKey
from edge_reid.signing.transport import PublicationTarget
from edge_reid.transfer.folder import FolderSource, FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY

MODEL = "0123456789abcdef"
DIMENSION = 64
SITE = "lab"
MAX_BYTES = 1 << 24
ENOUGH_FOR_A_TREE = 60
"""People who do not fit into one leaf."""


class Workshop:
    """Where people are enrolled, and galleries signed. `with` closes it.

    `out` is the folder that is published to by default.
    """

    def __init__(self, folder: Path, *, people: int = 3, model_id: str = MODEL) -> None:
        self.out = folder / "out"
        self.key = SigningKey.generate()
        self.key.write(folder / "keys")
        self.public_key_path = folder / "keys" / "gallery-signing.pub"
        self.path = folder / "gallery.db"
        self.store = GalleryStore.create(self.path, model_id, DIMENSION)
        self.store.add_all([it for n in range(people) for it in portraits(f"person {n}", model_id)])

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def publish(self, target: PublicationTarget | None = None, **options: bool) -> PublishedGallery:
        target = target or FolderTarget(self.out, GALLERY)
        return publish(self.store, target, self.key, site=SITE, **options)

    def pinned(self, **changes: object) -> TrustPolicy:
        fields = {
            "key": self.key.public,
            "site": SITE,
            "model_id": MODEL,
            "dimension": DIMENSION,
            "max_bytes": MAX_BYTES,
        }
        return TrustPolicy(**(fields | changes))  # type: ignore[arg-type]

    def source(self) -> CountingSource:
        return CountingSource(self.out, poll_s=0.001)


class CountingSource(FolderSource):
    """A folder that knows which blobs were taken from it."""

    def __init__(self, folder: Path, *, poll_s: float) -> None:
        super().__init__(folder, GALLERY, poll_s=poll_s)
        self.fetched: list[BlobRef] = []

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        for ref, body in super().fetch(refs):
            self.fetched.append(ref)
            yield ref, body


def portraits(name: str, model_id: str = MODEL, *, count: int = 4, take: int = 0) -> list[Template]:
    """Templates that follow from the name, and from which take of the photographer they are."""
    seed = int(hashlib.sha256(f"{name} {take}".encode()).hexdigest()[:8], 16)
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Template(
            identity=name,
            vector=vector,
            model_id=model_id,
            quality=0.75,
            source_sha256=hashlib.sha256(vector.tobytes()).hexdigest(),
            created_utc_s=1_760_000_000.5,
        )
        for vector in vectors
    ]


def take_in(workshop: Workshop, replica: Replica, **pins: object) -> LoadedGallery | None:
    """What a device does with what lies in the workshop's folder."""
    source = workshop.source()
    head = source.news(1.0)
    assert head is not None
    pinned = workshop.pinned(**pins)
    return install(head, source.fetch, replica, pinned, now_utc_s=time.time())


def in_force(workshop: Workshop, replica: Replica) -> GallerySnapshot:
    """What a device has after a restart without a network."""
    held = replica.in_force
    assert held is not None
    return load_held(held, nothing_to_fetch, replica, workshop.pinned()).snapshot


def assert_same_people(found: GallerySnapshot, expected: GallerySnapshot) -> None:
    """Everybody is there, with their vectors as near as float16 carries them, in any order."""
    assert found.identities == expected.identities
    for label, name in enumerate(expected.identities):
        ours = found.vectors[found.labels == label]
        theirs = expected.vectors[expected.labels == label]
        similarity = ours @ theirs.T
        assert len(ours) == len(theirs), name
        np.testing.assert_allclose(similarity.max(axis=0), 1.0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1.0, atol=1e-6)


def bytes_on_disk(path: Path) -> bytes:
    """Of a database and all that SQLite lays beside it."""
    return b"".join(part.read_bytes() for part in sorted(path.parent.glob(f"{path.name}*")))
