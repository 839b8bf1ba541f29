"""Writing a bundle: the same content gives the same bytes, wherever and whenever."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard

from edge_reid.core.errors import BundleError
from edge_reid.core.files import whole_file
from edge_reid.core.manifest import file_sha256
from edge_reid.core.progress import Progress, no_progress
from edge_reid.release.bundle_manifest import MANIFEST, SIGNATURE, BundledFile, BundleManifest
from edge_reid.release.bundle_sinks import TarSink
from edge_reid.signing.keys import SigningKey

LEVEL = 6
"""Wheels are deflated already: a higher one takes minutes and gains nothing."""
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """What a file of a bundle holds: bytes, or another file's."""

    source: bytes | Path

    def open(self) -> IO[bytes]:
        """To be read from the start."""
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")

    def listed_as(self, path: str) -> BundledFile:
        """Its line of the manifest."""
        if isinstance(self.source, bytes):
            size, digest = len(self.source), hashlib.sha256(self.source).hexdigest()
        else:
            size, digest = self.source.stat().st_size, file_sha256(self.source)
        return BundledFile(path=path, size_bytes=size, sha256=digest)


def listing(contents: Mapping[str, Content]) -> tuple[BundledFile, ...]:
    """The files of a manifest, by path.

    Raises:
        BundleError: one cannot be read.
    """
    try:
        return tuple(contents[path].listed_as(path) for path in sorted(contents))
    except OSError as error:
        raise BundleError(f"bundle: {error.filename}: cannot be read: {error.strerror}") from error


def write_bundle(
    out: Path,
    manifest: BundleManifest,
    contents: Mapping[str, Content],
    key: SigningKey | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write a bundle, whole or not at all.

    Args:
        out: the file, which is its owner's alone: one for a device has its secrets, and one for
            all has their configurations, in which the page's users have password hashes.
        manifest: lists `contents`.
        contents: by path.
        key: signs the manifest; None: nobody does.
        progress: told how far it is.

    Raises:
        BundleError: it cannot be written, or a file cannot be read.
    """
    try:
        with whole_file(out, mode=0o600) as sink:
            _fill(sink, manifest, contents, key, progress)
    except OSError as error:
        raise BundleError(
            f"bundle {out}: cannot be written: {error.strerror or error}; "
            "make room there, or give another path"
        ) from error


def _fill(
    sink: IO[bytes],
    manifest: BundleManifest,
    contents: Mapping[str, Content],
    key: SigningKey | None,
    progress: Progress,
) -> None:
    body = manifest.to_bytes()
    signature = key.sign(body).hex().encode() + b"\n" if key else b""
    with zstandard.ZstdCompressor(level=LEVEL).stream_writer(sink, closefd=False) as packed:
        tar = TarSink(packed)
        tar.front(MANIFEST, body)
        tar.front(SIGNATURE, signature)
        done = 0
        for file in manifest.files:
            with contents[file.path].open() as content, tar.file(file) as member:
                _copy(content, member, file)
            done += file.size_bytes
            progress(done, manifest.size_bytes)
        tar.end()


def _copy(content: IO[bytes], member: IO[bytes], file: BundledFile) -> None:
    """A file that has changed since it was listed would spoil all that follows."""
    left = file.size_bytes
    while piece := content.read(_PIECE_BYTES):
        member.write(piece)
        left -= len(piece)
    if left:
        raise BundleError(f"bundle: {file.path}: was changed meanwhile; make it again")
