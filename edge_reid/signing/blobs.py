"""Blobs: pieces of a published gallery, named by their SHA-256 and carried in chunks. Files of a
release are named in the same way, and carried whole.

A blob lies at `blob/<sha256>/<n>`, n from 0, whether on a broker, a web server or a stick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.core.errors import SnapshotError

CHUNK_BYTES = 64 << 10
"""Every chunk of a blob but its last; below the message limit of every broker we know."""
MAX_BLOB_BYTES = 8 << 20
"""Compressed or not. An identity of 1,000 templates takes about 1 MB."""
MAX_HEAD_BYTES = 4 << 10


@dataclass(frozen=True, slots=True)
class BlobRef:
    """What is known of a blob before it is there."""

    sha256: str
    size_bytes: int

    @property
    def chunk_sizes(self) -> tuple[int, ...]:
        """In bytes; a blob is never empty."""
        whole, rest = divmod(self.size_bytes, CHUNK_BYTES)
        return (CHUNK_BYTES,) * whole + ((rest,) if rest else ())

    @property
    def paths(self) -> tuple[str, ...]:
        """Where its chunks lie, under the site's gallery."""
        return tuple(f"blob/{self.sha256}/{n}" for n in range(len(self.chunk_sizes)))


def ref_of(body: bytes) -> BlobRef:
    """The name of a blob."""
    return BlobRef(hashlib.sha256(body).hexdigest(), len(body))


def split(body: bytes) -> tuple[bytes, ...]:
    """The chunks of a blob."""
    return tuple(body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))


def join(ref: BlobRef, chunks: Sequence[bytes]) -> bytes:
    """The blob that was split into these chunks.

    Raises:
        SnapshotError: a chunk has another length than it must have, or the whole another hash.
    """
    for n, (chunk, size) in enumerate(zip(chunks, ref.chunk_sizes, strict=True)):
        if len(chunk) != size:
            raise SnapshotError(
                f"blob {ref.sha256[:16]}…, chunk {n}: expected {size} bytes, got {len(chunk)}; "
                "it is cut short or was changed on its way; publish the gallery again"
            )
    body = b"".join(chunks)
    if (found := ref_of(body)) != ref:
        raise SnapshotError(
            f"blob {ref.sha256[:16]}…: expected this SHA-256, got {found.sha256[:16]}…; "
            "it was changed on its way; publish the gallery again"
        )
    return body
