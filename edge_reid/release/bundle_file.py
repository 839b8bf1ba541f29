"""A bundle as a file: tar inside zstd, read once from front to back.

    edge-reid-bundle/manifest.json
    edge-reid-bundle/manifest.sig      128 hex digits: Ed25519 over the manifest, or nothing
    edge-reid-bundle/…                 exactly the files of the manifest, in its order

The manifest stands in front, so nothing that follows is believed before its size and hash are known
from somebody whose key is pinned. What is used of a bundle is what came out here: a second program
that reads the same file may find something else in it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Protocol

import zstandard

from edge_reid.core.errors import BundleError
from edge_reid.core.progress import Progress, no_progress
from edge_reid.release.bundle_manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    ROOT,
    SIGNATURE,
    BundledFile,
    BundleManifest,
    parse_manifest,
)
from edge_reid.release.ustar import UstarReader
from edge_reid.signing.keys import SIGNATURE_BYTES, PublicKey

_SIGNATURE_TEXT = re.compile(rb"[0-9a-f]{%d}\n?" % (2 * SIGNATURE_BYTES))
_MAX_SIGNATURE_BYTES = 2 * SIGNATURE_BYTES + 1
_MAX_WINDOW_BYTES = 16 << 20
_PACKED_BYTES = 512
"""Read at a time: zstd makes at most 16 MiB of it, four bytes a block of 128 KiB."""


class BundleSink(Protocol):
    """Where the content of a bundle goes. Nothing of it counts before `verify` returns."""

    def front(self, name: str, body: bytes) -> None:
        """Manifest and signature, in this order."""

    def file(self, file: BundledFile) -> AbstractContextManager[IO[bytes] | None]:
        """Where a file is to be written to; None: nowhere. Its content is not known yet."""


def verify(
    path: Path,
    key: PublicKey | None,
    progress: Progress = no_progress,
    *,
    sink: BundleSink | None = None,
) -> BundleManifest:
    """The manifest of a bundle that is whole: all files there, none else, sizes and hashes right.

    Args:
        path: of the bundle.
        key: that must have signed it; None: anybody may have made it.
        progress: told the bytes done.
        sink: given everything as it comes.

    Raises:
        BundleError: it is not, or is not signed by that key.
    """
    with _opened(path) as tar:
        manifest = _front(tar, key, sink)
        done = 0
        for file in manifest.files:
            _read_file(tar, file, sink)
            done += file.size_bytes
            progress(done, manifest.size_bytes)
        tar.end()
    return manifest


class _Unpacked:
    """The bytes of the one frame of zstd that a file is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).decompressobj()
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only when there are no more."""
        while len(self._ready) < size and self._more():
            pass
        piece = bytes(self._ready[:size])
        del self._ready[:size]
        return piece

    def _more(self) -> bool:
        if self._frame.eof:
            self._check_end()
            return False
        packed = self._packed()
        if not packed:
            raise zstandard.ZstdError("it is cut short")
        self._ready += self._frame.decompress(packed)
        return True

    def _check_end(self) -> None:
        if self._frame.unused_data or self._packed():
            raise BundleError("expected nothing behind its end, there is more; it is forged")

    def _packed(self) -> bytes:
        try:
            return self._file.read(_PACKED_BYTES)
        except OSError as error:
            raise _unreadable(error) from error


@contextmanager
def _opened(path: Path) -> Iterator[UstarReader]:
    try:
        with _readable(path) as file:
            yield UstarReader(_Unpacked(file).read)
    except BundleError as error:
        raise BundleError(f"bundle {path}: {error}") from error
    except zstandard.ZstdError as error:
        raise BundleError(
            f"bundle {path}: expected a bundle (tar.zst), it is damaged or something else: "
            f"{error}; copy or make it again"
        ) from error


def _readable(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> BundleError:
    return BundleError(f"cannot be read: {error.strerror}; give another, or copy it again")


def _front(tar: UstarReader, key: PublicKey | None, sink: BundleSink | None) -> BundleManifest:
    body = _small(tar, MANIFEST, MAX_MANIFEST_BYTES)
    signature = _small(tar, SIGNATURE, _MAX_SIGNATURE_BYTES)
    if key is not None:
        _check_signature(body, signature, key)
    manifest = parse_manifest(body)
    if sink:
        sink.front(MANIFEST, body)
        sink.front(SIGNATURE, signature)
    return manifest


def _small(tar: UstarReader, name: str, most_bytes: int) -> bytes:
    member = tar.next(f"{ROOT}/{name}")
    if member.size_bytes > most_bytes:
        raise BundleError(f"{name}: expected at most {most_bytes} bytes, got {member.size_bytes}")
    return b"".join(tar.content(member))


def _check_signature(body: bytes, signature: bytes, key: PublicKey) -> None:
    if not signature:
        raise BundleError("is not signed; make it with edge-reid bundle --key")
    is_text = _SIGNATURE_TEXT.fullmatch(signature)
    if not is_text or not key.signed(bytes.fromhex(signature.decode()), body):
        raise BundleError(
            f"the signature is not of the pinned key {key.key_id}; it is forged, was changed on "
            "its way, or was made with another key"
        )


def _read_file(tar: UstarReader, file: BundledFile, sink: BundleSink | None) -> None:
    member = tar.next(f"{ROOT}/{file.path}")
    if member.size_bytes != file.size_bytes:
        raise BundleError(f"{file.path}: expected {file.size_bytes} bytes, got {member.size_bytes}")
    with sink.file(file) if sink else nullcontext() as copy:
        _copy_checked(file, tar.content(member), copy)


def _copy_checked(file: BundledFile, content: Iterable[bytes], copy: IO[bytes] | None) -> None:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
        if copy:
            copy.write(piece)
    if digest.hexdigest() != file.sha256:
        raise BundleError(
            f"{file.path}: its content is not what the manifest says; copy or make it again"
        )
