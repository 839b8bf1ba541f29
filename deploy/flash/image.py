"""A disk image as it was downloaded: `.img`, or `.img.xz`, which is unpacked on the way."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy.flash.partitions import Partition, partitions
from deploy.flash.xz import unpacked_bytes
from edge_reid.core.errors import FlashError
from edge_reid.core.progress import Progress

CHUNK_BYTES = 4 << 20
"""What is read, compared and written at a time: a card erases in blocks about as large."""
_SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Image:
    """A file that holds a disk."""

    path: Path
    size_bytes: int
    """Unpacked."""

    @classmethod
    def open(cls, path: Path) -> Image:
        """The image in a file.

        Raises:
            FlashError: it cannot be read, is cut off, or is no image of a disk.
        """
        try:
            size = unpacked_bytes(path) if _is_packed(path) else path.stat().st_size
        except OSError as error:
            raise FlashError(f"{path}: cannot be read: {error.strerror}") from error
        image = cls(path, size)
        image._check_table()
        return image

    def chunks(self) -> Iterator[bytes]:
        """The disk from its start, CHUNK_BYTES at a time, the last one shorter.

        Raises:
            FlashError: the file is damaged or cannot be read.
        """
        opened = lzma.open if _is_packed(self.path) else open
        try:
            with opened(self.path, "rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except (lzma.LZMAError, EOFError) as error:
            raise FlashError(f"{self.path}: is damaged ({error}); download it again") from error
        except OSError as error:
            raise FlashError(f"{self.path}: cannot be read: {error.strerror}") from error

    def digests(self, progress: Progress) -> tuple[bytes, ...]:
        """SHA-256 of every chunk. Reading them all shows that nothing of the file is damaged.

        Raises:
            FlashError: something is.
        """
        found, done = [], 0
        for chunk in self.chunks():
            found.append(hashlib.sha256(chunk).digest())
            done += len(chunk)
            progress(done, self.size_bytes)
        if done != self.size_bytes:
            raise FlashError(
                f"{self.path}: expected {self.size_bytes} bytes unpacked, got {done}; "
                "download it again"
            )
        return tuple(found)

    def copy_partition(self, partition: Partition, to: IO[bytes], progress: Progress) -> None:
        """Write what is in one of its partitions to a file, with holes where there is nothing.

        Raises:
            FlashError: the file is damaged or cannot be read.
        """
        at = 0
        for chunk in self.chunks():
            first = max(at, partition.start_bytes)
            piece = chunk[first - at : max(0, partition.end_bytes - at)]
            if piece.strip(b"\0"):
                to.seek(first - partition.start_bytes)
                to.write(piece)
            at += len(chunk)
            progress(min(at, partition.end_bytes), partition.end_bytes)
            if at >= partition.end_bytes:
                break
        to.truncate(partition.size_bytes)

    def partitions(self) -> tuple[Partition, ...]:
        """As its partition table says."""
        return partitions(next(self.chunks(), b""), str(self.path))

    @property
    def is_packed(self) -> bool:
        return _is_packed(self.path)

    def _check_table(self) -> None:
        end = max(partition.end_bytes for partition in self.partitions())
        if end > self.size_bytes or self.size_bytes % _SECTOR_BYTES:
            raise FlashError(
                f"{self.path}: expected {end} bytes, as its partition table says, got "
                f"{self.size_bytes}: it is cut off; download it again"
            )


def _is_packed(path: Path) -> bool:
    return path.suffix == ".xz"
