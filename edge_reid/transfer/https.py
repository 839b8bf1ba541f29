"""A gallery on a web server: `https` only, since templates are nobody else's business.

One connection, kept open. Redirects are not followed: they could lead to plaintext.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from edge_reid.core.errors import SnapshotError
from edge_reid.signing.blobs import CHUNK_BYTES, MAX_HEAD_BYTES, BlobRef, join
from edge_reid.transfer.poll_timer import PollTimer
from edge_reid.transfer.web import web_connection


class HttpsSource:
    """Asks a web server, every so many seconds.

    Raises:
        ConfigError: the CA file is none.
    """

    def __init__(self, url: str, ca_file: Path | None, *, poll_s: float) -> None:
        self._url = url.rstrip("/")
        self._path = urlsplit(url).path.rstrip("/")
        self._due = PollTimer(poll_s)
        self._connection = web_connection(url, ca_file, "gallery_sync")

    def news(self, timeout_s: float) -> bytes | None:
        """The head, when it is time to ask.

        Raises:
            SnapshotError: the server is not there, not to be trusted, or has none.
        """
        return self._get("head", MAX_HEAD_BYTES) if self._due.wait(timeout_s) else None

    def hasten(self) -> None:
        """Ask at once, next time."""
        self._due.hasten()

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Blobs, one by one.

        Raises:
            SnapshotError: the server is not there; or one is missing, cut short or changed.
        """
        for ref in refs:
            yield ref, join(ref, [self._get(path, CHUNK_BYTES) for path in ref.paths])

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _get(self, path: str, limit_bytes: int) -> bytes:
        try:
            return self._ask(path, limit_bytes)
        except (OSError, http.client.HTTPException):
            self._connection.close()  # a server may hang up on a connection it kept for long
        try:
            return self._ask(path, limit_bytes)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise SnapshotError(f"gallery {self._url}/{path}: cannot be had: {error}") from error

    def _ask(self, path: str, limit_bytes: int) -> bytes:
        self._connection.request("GET", f"{self._path}/{path}", headers={"Accept-Encoding": ""})
        with self._connection.getresponse() as response:
            body = response.read(limit_bytes + 1)
            whole = response.read(1) == b""
        if not whole:
            self._connection.close()  # its rest is none of our business
        if response.status != http.client.OK:
            raise SnapshotError(
                f"gallery {self._url}/{path}: expected status 200, got {response.status} "
                f"{response.reason}; is the gallery published there?"
            )
        return body
