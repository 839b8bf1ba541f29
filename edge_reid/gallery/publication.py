"""A gallery goes out: to a broker, or into a folder for a web server or a stick.

New blobs first, then the head that needs them, then what only the old head needed is cleared: at
every moment a head lies there with all its blobs. A device in the middle of the old version meets a
missing blob, and goes on with the new head, which it has been told of meanwhile. Clearing at once
is what takes an erased person off the broker.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from edge_reid.core.errors import GalleryError, SnapshotError
from edge_reid.core.progress import Progress, no_progress
from edge_reid.gallery.gallery_head import Head, Root, open_head, seal
from edge_reid.gallery.snapshot import people_of
from edge_reid.gallery.store import Contents, GalleryStore
from edge_reid.gallery.tree import Tree, grow
from edge_reid.signing.keys import SigningKey
from edge_reid.signing.transport import PublicationTarget


@dataclass(frozen=True, slots=True)
class PublishedGallery:
    """What a publication did."""

    head: Head
    sent: int
    """Blobs that were not there before."""
    sent_bytes: int
    """Of them, and of the head."""
    cleared: int
    """Blobs that are no longer there."""
    foreign: bool
    """Whether a head lay there that this key had not signed."""


def publish(
    store: GalleryStore,
    target: PublicationTarget,
    key: SigningKey,
    *,
    site: str,
    again: bool = False,
    supersede: bool = False,
    progress: Progress = no_progress,
) -> PublishedGallery:
    """Publish a gallery as it is now.

    Args:
        store: the gallery; it remembers what lies where.
        target: where to.
        key: signs.
        site: the devices of this site take it.
        again: send all blobs, also those that should be there.
        supersede: number it above whatever version lies there.
        progress: told of every blob.

    Raises:
        SnapshotError: a newer version lies there, or another of the same number, or somebody else
            publishes at the same time.
        GalleryError: the gallery cannot be read, or remember what was sent.
        BrokerError, UsageError: the target is not there, or does not take it.
    """
    contents = store.contents()
    if contents.version == 0:
        raise GalleryError(f"gallery {store.path}: expected somebody enrolled, nobody ever was")
    tree = _tree(contents)
    signed_there = target.head()
    there, foreign = _opened(signed_there, key)
    if supersede and there and there.version >= contents.version and there.root != _root(tree):
        store.raise_version(there.version)
        contents = store.contents()
        tree = _tree(contents)  # somebody may have been enrolled meanwhile
    if there:
        _check_newer(contents.version, tree, there)
    head = _head(contents, tree, store, site, key)
    before = store.published(target.name)
    # what lies there is ours only if the head there is the one we put there last
    is_known = there is not None and before.get(there.root.ref, False) and not again
    new = [ref for ref in tree.blobs if not (is_known and before.get(ref, False))]
    store.note_published(target.name, new, is_there=False)
    for done, _ in enumerate(target.put((ref, tree.blobs[ref]) for ref in new), start=1):
        progress(done, len(new))
    store.note_published(target.name, new, is_there=True)
    signed_head = seal(head, key)
    _check_unchanged(target, signed_there)
    target.put_head(signed_head)
    old = before.keys() - tree.blobs.keys()
    store.note_cleared(target.name, list(target.clear(old)))
    sent_bytes = len(signed_head) + sum(ref.size_bytes for ref in new)
    return PublishedGallery(head, len(new), sent_bytes, len(old), foreign)


def _check_unchanged(target: PublicationTarget, signed_there: bytes | None) -> None:
    """Raise SnapshotError if somebody has published while blobs were sent.

    Of two copies of a gallery both would sign the same version.
    """
    if target.head() != signed_there:
        raise SnapshotError(
            f"{target.name}: another gallery was published meanwhile; publish again"
        )


def _opened(signed_head: bytes | None, key: SigningKey) -> tuple[Head | None, bool]:
    """The head, if this key has signed it; whether another key has."""
    if signed_head is None:
        return None, False
    try:
        return open_head(signed_head, key.public), False
    except SnapshotError:  # no device that pins our key takes it: it is in nobody's way
        return None, True


def _check_newer(version: int, tree: Tree, there: Head) -> None:
    if there.version > version:
        raise SnapshotError(
            f"gallery version {version}: expected one above what is published, got version "
            f"{there.version} there; is this an old copy of the gallery? --supersede publishes it "
            "all the same"
        )
    if there.version == version and there.root != _root(tree):
        raise SnapshotError(
            f"gallery version {version}: is published already with another content; two copies of "
            "the gallery were changed; --supersede publishes this one"
        )


def _tree(contents: Contents) -> Tree:
    return grow(people_of(contents.templates), contents.erasures)


def _root(tree: Tree) -> Root:
    return Root(sha256=tree.root.sha256, size_bytes=tree.root.size_bytes)


def _head(contents: Contents, tree: Tree, store: GalleryStore, site: str, key: SigningKey) -> Head:
    return Head(
        site=site,
        model_id=store.model_id,
        dimension=store.dimension,
        version=contents.version,
        root=_root(tree),
        blobs=len(tree.blobs),
        size_bytes=sum(ref.size_bytes for ref in tree.blobs),
        identities=len({template.identity for template in contents.templates}),
        templates=len(contents.templates),
        created_utc_s=round(time.time(), 3),
        key_id=key.public.key_id,
    )
