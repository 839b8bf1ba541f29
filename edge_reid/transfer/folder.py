"""A gallery in a folder: what `gallery publish --to` writes, for a web server or a stick."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from edge_reid.core.errors import SnapshotError, UsageError
from edge_reid.signing.blobs import CHUNK_BYTES, MAX_HEAD_BYTES, BlobRef, join, split
from edge_reid.transfer.poll_timer import PollTimer

HEAD = "head"


class FolderSource:
    """Reads a folder, every so many seconds, and as soon as another head lies there.

    A publisher puts a new file in the place of the old head, which costs nothing to notice; what a
    share of a network does not show comes with the next reading.
    """

    def __init__(self, folder: Path, *, poll_s: float) -> None:
        self._folder = folder
        self._due = PollTimer(poll_s)
        self._seen = self._mark

    def news(self, timeout_s: float) -> bytes | None:
        """The head, when it is time to look.

        Raises:
            SnapshotError: there is none.
        """
        mark = self._mark  # before reading: a change meanwhile is then noticed
        if mark != self._seen:
            self._due.hasten()
        if not self._due.wait(timeout_s):
            return None
        self._seen = mark
        return self._read(HEAD, MAX_HEAD_BYTES)

    @property
    def _mark(self) -> tuple[int, ...] | None:
        """Another one whenever another head lies there; None: there is none."""
        try:
            found = (self._folder / HEAD).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def hasten(self) -> None:
        """Look at once, next time."""
        self._due.hasten()

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Blobs, one by one.

        Raises:
            SnapshotError: one is missing, cut short or changed.
        """
        for ref in refs:
            yield ref, join(ref, [self._read(path, CHUNK_BYTES) for path in ref.paths])

    def close(self) -> None:
        """Nothing is open."""

    def _read(self, path: str, limit_bytes: int) -> bytes:
        try:
            with (self._folder / path).open("rb") as file:
                return file.read(limit_bytes + 1)
        except OSError as error:
            raise SnapshotError(
                f"gallery {self._folder}: {path} cannot be read: {error.strerror}; "
                "is the stick in, and the gallery published there?"
            ) from error


class FolderPlace:
    """Writes a folder; a reader meets every file whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder.resolve())

    def head(self) -> bytes | None:
        """The head that lies there."""
        try:
            with (self._folder / HEAD).open("rb") as file:
                return file.read(MAX_HEAD_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._trouble(error) from error

    def put(self, blobs: Iterable[tuple[BlobRef, bytes]]) -> Iterator[BlobRef]:
        """Write blobs.

        Raises:
            UsageError: the folder cannot be written.
        """
        for ref, body in blobs:
            for path, chunk in zip(ref.paths, split(body), strict=True):
                self._write(path, chunk)
            yield ref

    def put_head(self, sealed: bytes) -> None:
        """Write the head, last: once all blobs are on the disk."""
        os.sync()
        self._write(HEAD, sealed)
        os.sync()

    def clear(self, refs: Iterable[BlobRef]) -> Iterator[BlobRef]:
        """Delete blobs."""
        for ref in refs:
            for path in ref.paths:
                (self._folder / path).unlink(missing_ok=True)
            with suppress(OSError):
                (self._folder / "blob" / ref.sha256).rmdir()
            yield ref

    def _write(self, path: str, body: bytes) -> None:
        target = self._folder / path
        partial = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(body)
            partial.replace(target)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> UsageError:
        return UsageError(
            f"--to {self._folder}: cannot be used: {error.strerror}; give a folder to write to"
        )
