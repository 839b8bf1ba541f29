"""An image onto a card: only what differs is written, and everything is read back.

A chunk that the card holds already is left alone, zeros like all else. So nothing needs to be
known about the card beforehand, and after an interruption the same command goes on where it was.
The first chunk, with the partition table, is blanked first and written last: a card that was
left half-way does not start up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.flash.image import CHUNK_BYTES, Image
from deploy.flash.raw_disk import Disk
from edge_reid.core.errors import FlashError
from edge_reid.core.progress import Progress

_SYNC_EVERY_BYTES = 64 << 20
"""So that what the progress bar shows is on the card, and an error comes near its place."""


@dataclass(frozen=True, slots=True)
class Written:
    """What it took."""

    size_bytes: int
    written_bytes: int

    @property
    def kept_bytes(self) -> int:
        """Was on the card already."""
        return self.size_bytes - self.written_bytes


def write_image(image: Image, digests: Sequence[bytes], disk: Disk, progress: Progress) -> Written:
    """Bring a card to hold an image; `digests` are those of its chunks.

    Raises:
        FlashError: the card fails half-way, or the image does.
    """
    chunks = image.chunks()
    first = next(chunks)
    blanked = not disk.holds(0, len(first), digests[0])
    if blanked:
        _blank(disk, len(first))
    written, at = 0, len(first)
    for chunk, digest in zip(chunks, digests[1:], strict=True):
        if not disk.holds(at, len(chunk), digest):
            if not blanked:
                _blank(disk, len(first))
                blanked = True
            disk.put(at, chunk)
            written += len(chunk)
            if written % _SYNC_EVERY_BYTES < CHUNK_BYTES:
                disk.sync(at)
        at += len(chunk)
        progress(at, image.size_bytes)
    disk.sync(at)
    if blanked:
        disk.put(0, first)
        disk.sync(0)
        written += len(first)
    return Written(image.size_bytes, written)


def check_image(image: Image, digests: Sequence[bytes], disk: Disk, progress: Progress) -> None:
    """Read everything back from the card itself, and compare.

    Raises:
        FlashError: it holds something else.
    """
    disk.forget()
    for number, digest in enumerate(digests):
        at = number * CHUNK_BYTES
        size = min(CHUNK_BYTES, image.size_bytes - at)
        if not disk.holds(at, size, digest):
            raise FlashError(
                f"{disk.path}: reads back other bytes than were written, from byte {at} on; "
                "the card is worn out or smaller than it says: take another"
            )
        progress(at + size, image.size_bytes)


def _blank(disk: Disk, size: int) -> None:
    disk.put(0, bytes(size))
    disk.sync(0)
