"""A published gallery on a device: fetched and checked beside the one in force, then swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge_reid.core.errors import SnapshotError
from edge_reid.core.types import GallerySnapshot
from edge_reid.gallery.gallery_head import Head, TrustPolicy, check_head, open_head
from edge_reid.gallery.replica import Replica, StoredVersion
from edge_reid.gallery.snapshot import load
from edge_reid.signing.blobs import BlobRef

STASH_BLOBS = 64
"""What was fetched is put on disk every so many blobs: so much is fetched again after a loss."""

FetchBlobs = Callable[[Sequence[BlobRef]], Iterable[tuple[BlobRef, bytes]]]
"""Gives blobs as they arrive, in any order, each with the hash it should have.

Raises SnapshotError or BrokerError when one is changed, cut short or missing.
"""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedGallery:
    """A gallery that has come into force."""

    head: Head
    snapshot: GallerySnapshot


Pause = Callable[[], None]
"""Called once a blob, so that who loads beside something urgent may let it go first."""


def no_pause() -> None:
    """Nothing else is urgent."""


def install(
    sealed: bytes,
    fetch: FetchBlobs,
    replica: Replica,
    pinned: TrustPolicy,
    *,
    now_utc_s: float,
    pause: Pause = no_pause,
) -> LoadedGallery | None:
    """Take a version from its head on; None when it is the one we took last.

    Nothing changes unless all of it is here and fit to be loaded. What arrived before a failure
    stays for the next attempt.

    Raises:
        SnapshotError: it is refused, in words for the agent's status.
        GalleryError: the disk fails.
        BrokerError: the source is not there.
    """
    head = open_head(sealed, pinned.key)
    check_head(head, pinned)
    _check_new_enough(head, pinned)
    if _is_taken(head, replica):
        return None
    blobs = _Blobs(replica, fetch, pause)
    loaded = load(head, blobs.get)
    replica.install(
        head.version,
        sealed,
        head.root.ref,
        blobs=blobs.seen,
        erased=loaded.erased,
        now_utc_s=now_utc_s,
    )
    return LoadedGallery(head, loaded.snapshot)


def nothing_to_fetch(missing: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
    """What `load_held` fetches by while there is no source."""
    raise SnapshotError(
        f"gallery: {len(missing)} blobs are damaged on this disk; they will be fetched anew"
    )


def load_held(
    held: StoredVersion,
    fetch: FetchBlobs,
    replica: Replica,
    pinned: TrustPolicy,
    *,
    pause: Pause = no_pause,
) -> LoadedGallery:
    """A version from the disk, checked as if it had just come; less whoever was erased since.

    Blobs that the disk has spoilt are fetched anew.

    Raises:
        SnapshotError: it is damaged, or not of the pinned key, site or model.
        GalleryError: the disk fails.
    """
    head = open_head(held.sealed, pinned.key)
    check_head(head, pinned)
    loaded = load(head, _Blobs(replica, fetch, pause).get, without=replica.erased)
    return LoadedGallery(head, loaded.snapshot)


def _check_new_enough(head: Head, pinned: TrustPolicy) -> None:
    if head.version < pinned.least_version:
        raise SnapshotError(
            f"gallery version {head.version}: expected {pinned.least_version} at least, as "
            "gallery_sync.least_version says; an old version was sent again, publish a new one"
        )


def _is_taken(head: Head, replica: Replica) -> bool:
    """Whether it is the newest that we have had.

    Raises:
        SnapshotError: it is older than that, or another of the same number.
    """
    highest = replica.highest
    if head.version > highest:
        return False
    if head.version < highest:
        raise SnapshotError(
            f"gallery version {head.version}: expected one above {highest}, which was taken "
            "before; an old version was sent again, publish a new one"
        )
    same = [held for held in replica.held if held.version == head.version]
    if same and same[0].root != head.root.ref:
        raise SnapshotError(
            f"gallery version {head.version}: expected what was taken under this number, got "
            "another content; publish it with --supersede"
        )
    return True


class _Blobs:
    """Blobs from the disk, and what is missing there from elsewhere."""

    def __init__(self, replica: Replica, fetch: FetchBlobs, pause: Pause) -> None:
        self._replica = replica
        self._fetch = fetch
        self._pause = pause
        self.seen: set[BlobRef] = set()

    def get(self, refs: Sequence[BlobRef]) -> Iterator[bytes]:
        """The bodies, in order; first all that are missing are fetched."""
        self.seen.update(refs)
        self._fetch_missing([ref for ref in refs if not self._is_here(ref)])
        return map(self._read, refs)

    def _is_here(self, ref: BlobRef) -> bool:
        self._pause()
        return self._replica.has(ref)

    def _read(self, ref: BlobRef) -> bytes:
        self._pause()
        return self._replica.read(ref)

    def _fetch_missing(self, missing: Sequence[BlobRef]) -> None:
        arrived: dict[BlobRef, bytes] = {}
        try:
            for ref, body in self._fetch(missing) if missing else ():
                arrived[ref] = body
                if len(arrived) >= STASH_BLOBS:
                    self._replica.stash(arrived)
                    arrived = {}
        finally:
            if arrived:
                self._replica.stash(arrived)
