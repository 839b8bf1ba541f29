"""A bundle written anew from what was verified of it: as a plain tar, or as the folder in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from edge_reid.release.bundle_manifest import ROOT, BundledFile
from edge_reid.release.ustar import TarMember, UstarWriter

_FRONT_MODE = 0o644


class TarSink:
    """Into a tar, which has the same bytes whoever made the bundle."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._tar = UstarWriter(sink)

    def front(self, name: str, body: bytes) -> None:
        """Manifest or signature."""
        with self._tar.member(TarMember(f"{ROOT}/{name}", len(body), _FRONT_MODE)) as sink:
            sink.write(body)

    def file(self, file: BundledFile) -> AbstractContextManager[IO[bytes]]:
        """Where a file of the manifest is to be written to."""
        return self._tar.member(TarMember(f"{ROOT}/{file.path}", file.size_bytes, file.mode))

    def end(self) -> None:
        """All is there."""
        self._tar.end()


class FolderSink:
    """Into a new folder, which is the bundle's own, and nobody's but its owner's to look into: the
    manifest has the hashes of secrets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700)

    def front(self, name: str, body: bytes) -> None:
        """Manifest or signature."""
        with _created(self._folder / name, _FRONT_MODE) as sink:
            sink.write(body)

    @contextmanager
    def file(self, file: BundledFile) -> Iterator[IO[bytes]]:
        """Where a file of the manifest is to be written to."""
        path = self._folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _created(path, file.mode) as sink:
            yield sink


def _created(path: Path, mode: int) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb")
