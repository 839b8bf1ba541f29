"""A publication in a folder: of a web server, on a share, or on a stick."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from edge_reid.core.errors import UsageError
from edge_reid.core.files import whole_file
from edge_reid.signing.blobs import BlobRef
from edge_reid.transfer.layout import HEAD, Layout
from edge_reid.transfer.poll_timer import PollTimer


class FolderSource:
    """Reads a folder, every so many seconds, and as soon as another head lies there.

    A publisher replaces the file of the head, which costs nothing to notice; what a share of a
    network does not show comes with the next reading.
    """

    def __init__(self, folder: Path, layout: Layout, *, poll_s: float) -> None:
        self._folder = folder
        self._layout = layout
        self._timer = PollTimer(poll_s)
        self._seen = self._mark

    def news(self, timeout_s: float) -> bytes | None:
        """The head, when it is time to look.

        Raises:
            EdgeReidError: there is none; of the layout's kind, as in all methods.
        """
        mark = self._mark  # before reading: a change meanwhile is then noticed
        if mark != self._seen:
            self._timer.trigger()
        if not self._timer.wait(timeout_s):
            return None
        self._seen = mark
        return self._read(HEAD, self._layout.max_head_bytes)

    def trigger(self) -> None:
        """Look at once, next time."""
        self._timer.trigger()

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Blobs, one by one."""
        for ref in refs:
            limit_bytes = self._layout.piece_limit_bytes(ref)
            pieces = [self._read(path, limit_bytes) for path in self._layout.paths(ref)]
            yield ref, self._layout.join(ref, pieces)

    @contextmanager
    def open(self, ref: BlobRef, start: int = 0) -> Iterator[IO[bytes]]:
        """A blob in one piece, from an offset on."""
        (path,) = self._layout.paths(ref)
        with self._open(path) as file:
            file.seek(start)
            yield file

    def close(self) -> None:
        """Do nothing: no file stays open."""

    @property
    def _mark(self) -> tuple[int, ...] | None:
        """Another one whenever another head lies there; None: there is none."""
        try:
            found = (self._folder / HEAD).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self, path: str, limit_bytes: int) -> bytes:
        with self._open(path) as file:
            return file.read(limit_bytes + 1)

    @contextmanager
    def _open(self, path: str) -> Iterator[IO[bytes]]:
        noun = self._layout.noun
        try:
            with (self._folder / path).open("rb") as file:
                yield file
        except OSError as error:
            raise self._layout.error(
                f"{noun} {self._folder}: {path} cannot be read: {error.strerror}; "
                f"is the stick in, and the {noun} published there?"
            ) from error


class FolderTarget:
    """Writes a folder; a reader meets every file whole. Every method raises UsageError when the
    folder cannot be used.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self._layout = layout
        self.name = str(folder.resolve())

    def head(self) -> bytes | None:
        """The head that lies there."""
        try:
            with (self._folder / HEAD).open("rb") as file:
                return file.read(self._layout.max_head_bytes + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def put(self, blobs: Iterable[tuple[BlobRef, bytes]]) -> Iterator[BlobRef]:
        """Write blobs."""
        for ref, body in blobs:
            for path, piece in zip(self._layout.paths(ref), self._layout.split(body), strict=True):
                self._write(path, piece)
            yield ref

    @contextmanager
    def create(self, ref: BlobRef) -> Iterator[IO[bytes] | None]:
        """Where to write a large blob in one piece; None: it lies there already.

        It gets its name when the block ends well.
        """
        (path,) = self._layout.paths(ref)
        final = self._folder / path
        if final.exists() and final.stat().st_size == ref.size_bytes:
            yield None
            return
        with self._whole_file(path) as file:
            yield file

    def put_head(self, signed_head: bytes) -> None:
        """Write the head, once all blobs are on the disk, and see that it stands.

        Raises:
            EdgeReidError: somebody else published at the same moment; of the layout's kind.
        """
        os.sync()
        self._write(HEAD, signed_head)
        os.sync()
        if self.head() != signed_head:
            noun = self._layout.noun
            raise self._layout.error(
                f"{self._folder}: another {noun} was published at the same moment; publish again"
            )

    def clear(self, refs: Iterable[BlobRef]) -> Iterator[BlobRef]:
        """Delete blobs."""
        for ref in refs:
            for path in self._layout.paths(ref):
                file = self._folder / path
                file.unlink(missing_ok=True)
                with suppress(OSError):  # not empty yet
                    file.parent.rmdir()
            yield ref

    def _write(self, path: str, body: bytes) -> None:
        with self._whole_file(path) as file:
            file.write(body)

    @contextmanager
    def _whole_file(self, path: str) -> Iterator[IO[bytes]]:
        final = self._folder / path
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(final, is_synced=False) as file:  # the head waits for all of them
                yield file
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(
            f"--to {self._folder}: cannot be used: {error.strerror}; give a folder to write to, or "
            "make room there"
        )
