"""What a transport of signed publications offers: where devices read, and where publishers write.

A publication is one signed head and the blobs that it leads to, each named by its SHA-256. Nothing
that a source gives is trusted: who asks checks the head's signature, and the contents of blobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Protocol

from edge_reid.signing.blobs import BlobRef


class PublicationSource(Protocol):
    """Where heads and blobs come from. Every method raises an EdgeReidError if it cannot answer."""

    def news(self, timeout_s: float) -> bytes | None:
        """The newest head: when it changes, and again now and then. None: not within the time."""

    def trigger(self) -> None:
        """Have the next `news` look at once; from any thread."""

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Small blobs as they arrive, in any order, whole and with the hash that they should
        have.
        """

    def open(self, ref: BlobRef, start: int = 0) -> AbstractContextManager[IO[bytes]]:
        """The bytes of a large blob from an offset on, unchecked; reading may raise as well."""

    def close(self) -> None:
        """Let go of connections."""


class PublicationTarget(Protocol):
    """Where heads and blobs are published."""

    @property
    def name(self) -> str:
        """One per target, without any secret."""

    def head(self) -> bytes | None:
        """The head that lies there; None when there is none."""

    def put(self, blobs: Iterable[tuple[BlobRef, bytes]]) -> Iterable[BlobRef]:
        """Put blobs there; yields each once it is."""

    def put_head(self, signed_head: bytes) -> None:
        """Replace the head.

        Raises:
            EdgeReidError: somebody else did so at the same moment; of the kind that the
                publication has for what is refused.
        """

    def clear(self, refs: Iterable[BlobRef]) -> Iterable[BlobRef]:
        """Take blobs away; yields each once it is."""
