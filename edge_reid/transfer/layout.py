"""What differs between publications, for all transports alike: names of files, limits, words.

Below the topic, the URL or the folder of a publication lie

    head
    blob/<sha256>/<n>     a blob in chunks, as a gallery has them
    files/<sha256>        a blob in one piece, as a release has them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_reid.core.errors import EdgeReidError
from edge_reid.signing.blobs import CHUNK_BYTES, BlobRef, join, ref_of, split

HEAD = "head"
PIECE_BYTES = 1 << 18
"""Of a large blob, read at a time: a device has not the memory for all of it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of publication."""

    noun: str
    """What it is called in messages."""
    section: str
    """Of the configuration, where a device is given its source."""
    republish: str
    """What to do when a part of it is missing."""
    error: Callable[[str], EdgeReidError]
    """Raised when a part of it is missing, cut short or changed."""
    max_head_bytes: int
    is_chunked: bool
    """Whether blobs lie in chunks. Those that do not are large, and are read with `open`."""

    def paths(self, ref: BlobRef) -> tuple[str, ...]:
        """Where the pieces of a blob lie, below the publication."""
        return ref.paths if self.is_chunked else (f"files/{ref.sha256}",)

    def piece_limit_bytes(self, ref: BlobRef) -> int:
        """The size that no piece of a blob has more than."""
        return CHUNK_BYTES if self.is_chunked else ref.size_bytes

    def split(self, body: bytes) -> tuple[bytes, ...]:
        """A blob in the pieces that `paths` names."""
        return split(body) if self.is_chunked else (body,)

    def join(self, ref: BlobRef, pieces: Sequence[bytes]) -> bytes:
        """The blob that was split into these pieces.

        Raises:
            EdgeReidError: a piece has another size than it should, or the whole another hash.
        """
        if self.is_chunked:
            return join(ref, pieces)
        body = b"".join(pieces)
        if (got := ref_of(body)) != ref:
            raise self.error(
                f"file {ref.sha256[:16]}…: expected this SHA-256, got {got.sha256[:16]}…; it was "
                f"changed on its way; {self.republish}"
            )
        return body
