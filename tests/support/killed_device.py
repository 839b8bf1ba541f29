"""A device that does nothing but take new versions of its gallery, until it is killed.

Run by `multiprocessing`: a process of its own for every life, forked from one that has imported
everything, so that many lives fit into a test.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.gallery_head import TrustPolicy
from edge_reid.gallery.gallery_install import install
from edge_reid.gallery.replica import Replica
from edge_reid.transfer.folder import FolderSource
from edge_reid.transfer.gallery_transfer import GALLERY


@dataclass(frozen=True)
class Life:
    """What a device is born with."""

    replica: Path
    shelf: Path
    """Folder with the blobs of all versions."""
    heads: tuple[bytes, ...]
    pinned: TrustPolicy


def live(life: Life, born: Connection) -> None:
    """Take every version that is higher than what we have; begin anew when there is none."""
    source = FolderSource(life.shelf, GALLERY, poll_s=1.0)
    born.send("alive")
    while True:
        with Replica.open(life.replica) as replica:
            _take_all(life.heads, source, replica, life.pinned)
        for part in life.replica.parent.glob(f"{life.replica.name}*"):
            part.unlink()


def _take_all(
    heads: Sequence[bytes], source: FolderSource, replica: Replica, pinned: TrustPolicy
) -> None:
    for head in heads:
        try:
            install(head, source.fetch, replica, pinned, now_utc_s=time.time())
        except GalleryError:  # older than what we have
            continue
        replica.purge(keep_s=0, now_utc_s=time.time())
