"""Blobs: parts of a published gallery, named by their SHA-256 and transferred in chunks.

Chunk n of a blob is `blob/<sha256>/<n>`, n from 0, on a broker, a web server and in a folder. Files
of a release have such names too, and are transferred whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.core.errors import SnapshotError

CHUNK_BYTES = 64 << 10
"""Size of every chunk of a blob but its last: below the message limits of common brokers."""
MAX_BLOB_BYTES = 8 << 20
"""Most bytes of a blob, compressed or not. An identity with 1,000 templates takes about 1 MB."""
MAX_HEAD_BYTES = 4 << 10


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Name and size of a blob, before it has been fetched."""

    sha256: str
    size_bytes: int

    @property
    def chunk_sizes(self) -> tuple[int, ...]:
        """Bytes of each chunk. A blob is never empty."""
        whole, rest = divmod(self.size_bytes, CHUNK_BYTES)
        return (CHUNK_BYTES,) * whole + ((rest,) if rest else ())

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of its chunks, below the gallery of the site."""
        return tuple(f"blob/{self.sha256}/{n}" for n in range(len(self.chunk_sizes)))


def ref_of(body: bytes) -> BlobRef:
    """The name and size of a blob."""
    return BlobRef(hashlib.sha256(body).hexdigest(), len(body))


def split(body: bytes) -> tuple[bytes, ...]:
    """Cut a blob into chunks."""
    return tuple(body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))


def join(ref: BlobRef, chunks: Sequence[bytes]) -> bytes:
    """Put the chunks of a blob together, and check the hash.

    Raises:
        SnapshotError: a chunk has a wrong length, or the blob a wrong hash.
    """
    for n, (chunk, size) in enumerate(zip(chunks, ref.chunk_sizes, strict=True)):
        if len(chunk) != size:
            raise SnapshotError(
                f"blob {ref.sha256[:16]}…, chunk {n}: expected {size} bytes, got {len(chunk)}; "
                "it is cut short or was changed on its way; publish the gallery again"
            )
    body = b"".join(chunks)
    if (joined := ref_of(body)) != ref:
        raise SnapshotError(
            f"blob {ref.sha256[:16]}…: expected this SHA-256, got {joined.sha256[:16]}…; "
            "it was changed on its way; publish the gallery again"
        )
    return body
