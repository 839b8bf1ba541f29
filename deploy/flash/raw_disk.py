"""A card that is open for writing; where it fails, it says so in one line."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_reid.core.errors import FlashError

_BLKFLSBUF = 0x1261


class Disk:
    """All methods raise FlashError when the card fails; `path` names it in what is said."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def opened(cls, path: Path, *, in_use_too: bool = False) -> Iterator[Disk]:
        """An open card, closed at the end.

        Args:
            path: of the card.
            in_use_too: even if something of it is mounted; nobody else can mount it otherwise,
                for as long as it is open.

        Raises:
            FlashError: it is in use, or we may not.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | (0 if in_use_too else os.O_EXCL)
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            raise FlashError(f"{path}: {_why_not_opened(error)}") from error
        try:
            yield cls(descriptor, path)
        finally:
            os.close(descriptor)

    def holds(self, at: int, size: int, sha256: bytes) -> bool:
        """Whether these bytes are on it already."""
        with self._failing("reading", at):
            return hashlib.sha256(os.pread(self._descriptor, size, at)).digest() == sha256

    def put(self, at: int, data: bytes) -> None:
        """Write there; on the card for certain after `sync`."""
        with self._failing("writing", at):
            rest = memoryview(data)
            while rest:
                rest = rest[os.pwrite(self._descriptor, rest, at + len(data) - len(rest)) :]

    def sync(self, at: int) -> None:
        """Wait until all before there is on the card."""
        with self._failing("writing", at):
            os.fsync(self._descriptor)

    def forget(self) -> None:
        """Make what is read next come from the card, not from memory."""
        self.sync(0)
        with self._failing("reading", 0):
            fcntl.ioctl(self._descriptor, _BLKFLSBUF, 0)

    @contextmanager
    def _failing(self, doing: str, at: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FlashError(
                f"{self.path}: {doing} failed about byte {at}: {error.strerror}; look after "
                "card, reader and cable, then run the same command again: it goes on from here"
            ) from error


def _why_not_opened(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "is in use; unmount it"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "may not be written to by you; run with sudo"
    if error.errno == errno.EROFS:
        return "is write protected; move the lock on the side of the card"
    return f"cannot be opened: {error.strerror}"
