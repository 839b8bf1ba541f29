"""A bundle as a file: tar inside zstd, read once from front to back.

    edge-reid-bundle/manifest.json
    edge-reid-bundle/manifest.sig      128 hex digits: Ed25519 over the manifest, or nothing
    edge-reid-bundle/…                 exactly the files of the manifest, in its order

The manifest stands in front, so nothing that follows is believed before its size and
hash are known from somebody whose key is pinned. It is only checked here: tar and zstd unpack it.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, cast

import zstandard

from edge_reid.core.blobs import BlobRef
from edge_reid.core.errors import BundleError
from edge_reid.gallery.keys import SIGNATURE_BYTES, PublicKey
from edge_reid.release.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    ROOT,
    SIGNATURE,
    BundledFile,
    BundleManifest,
    parse_manifest,
)

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes there are."""

Keep = Callable[[BlobRef], AbstractContextManager[IO[bytes] | None]]
"""Where a file is to be written to; None: nowhere. It counts only if the block ends well."""

_SIGNATURE_TEXT = re.compile(rb"[0-9a-f]{%d}\n?" % (2 * SIGNATURE_BYTES))
_MAX_WINDOW_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20
_TAR_OVERHEAD_BYTES = 1024
"""Of each file at most: its header, and its last block filled up."""
_TAR_END_BYTES = 20 << 10


def verify(
    path: Path,
    key: PublicKey | None,
    progress: Progress | None = None,
    *,
    keep: Keep | None = None,
) -> BundleManifest:
    """The manifest of a bundle that is whole: all files there, none else, sizes and hashes right.

    Args:
        path: of the bundle.
        key: that must have signed it; None: anybody may have made it.
        progress: told how far it is.
        keep: given every file as it comes, before anything is known of its content.

    Raises:
        BundleError: it is not, or is not signed by that key.
    """
    with _opened(path) as bundle:
        manifest = _front(bundle, key)
        bundle.allow(manifest)
        done = 0
        for file in manifest.files:
            content = bundle.member(file.path, file.size_bytes)
            with keep(file.ref) if keep else nullcontext() as sink:
                _check(file, content, sink)
            done += file.size_bytes
            if progress:
                progress(done, manifest.size_bytes)
        bundle.end()
    return manifest


class _Opened:
    """The members of a bundle, one after the other, and never more bytes than were allowed."""

    def __init__(self, file: IO[bytes]) -> None:
        unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        self._unpacked = unpacker.stream_reader(file)
        self._allowed = MAX_MANIFEST_BYTES + 4 * _TAR_OVERHEAD_BYTES + _TAR_END_BYTES
        self._archive = tarfile.open(mode="r|", fileobj=cast("IO[bytes]", self))  # noqa: SIM115

    def read(self, size: int) -> bytes:
        """For tarfile: bytes of the tar."""
        piece = self._unpacked.read(size)
        self._allowed -= len(piece)
        if self._allowed < 0:
            raise BundleError("holds more than its manifest says; it is forged")
        return piece

    def allow(self, manifest: BundleManifest) -> None:
        """From here on there may be what the manifest lists."""
        self._allowed += manifest.size_bytes + _TAR_OVERHEAD_BYTES * len(manifest.files)

    def member(self, path: str, size_bytes: int | None = None) -> IO[bytes]:
        """The content of the next file, which must be this one."""
        member = self._archive.next()
        if member is None:
            raise BundleError(f"expected {path}, it ends before; it is cut short")
        if member.name != f"{ROOT}/{path}" or member.type != tarfile.REGTYPE:
            raise BundleError(f"expected the file {path}, got {member.name!r}; it is forged")
        if size_bytes not in {None, member.size}:
            raise BundleError(f"{path}: expected {size_bytes} bytes, got {member.size}")
        return cast("IO[bytes]", self._archive.extractfile(member))

    def end(self) -> None:
        """There must be nothing more."""
        if (member := self._archive.next()) is not None:
            raise BundleError(f"holds {member.name!r}, which its manifest does not list")


@contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    try:
        with path.open("rb") as file:
            yield _Opened(file)
    except OSError as error:
        raise BundleError(
            f"bundle {path}: cannot be read: {error.strerror}; give another, or copy it again"
        ) from error
    except BundleError as error:
        raise BundleError(f"bundle {path}: {error}") from error
    except (zstandard.ZstdError, tarfile.TarError) as error:
        raise BundleError(
            f"bundle {path}: expected a bundle (tar.zst), it is damaged or something else: "
            f"{error}; copy or make it again"
        ) from error


def _front(bundle: _Opened, key: PublicKey | None) -> BundleManifest:
    body = bundle.member(MANIFEST).read(MAX_MANIFEST_BYTES)
    signature = bundle.member(SIGNATURE).read(_TAR_OVERHEAD_BYTES)
    if key is not None:
        _check_signature(body, signature, key)
    return parse_manifest(body)


def _check_signature(body: bytes, signature: bytes, key: PublicKey) -> None:
    if not signature:
        raise BundleError("is not signed; make it with edge-reid bundle --key")
    is_text = _SIGNATURE_TEXT.fullmatch(signature)
    if not is_text or not key.signed(bytes.fromhex(signature.decode()), body):
        raise BundleError(
            f"the signature is not of the pinned key {key.key_id}; it is forged, was changed on "
            "its way, or was made with another key"
        )


def _check(file: BundledFile, content: IO[bytes], sink: IO[bytes] | None) -> None:
    digest = hashlib.sha256()
    while piece := content.read(_PIECE_BYTES):
        digest.update(piece)
        if sink:
            sink.write(piece)
    if digest.hexdigest() != file.sha256:
        raise BundleError(
            f"{file.path}: its content is not what the manifest says; copy or make it again"
        )
