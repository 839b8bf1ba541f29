"""A publication on a web server: `https` only, one connection that is kept open.

Certificates are verified. Redirects are not followed: they could lead to plaintext.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

from edge_reid.core.errors import ConfigError
from edge_reid.core.tls import verifying_context
from edge_reid.signing.blobs import BlobRef
from edge_reid.transfer.layout import HEAD, PIECE_BYTES, Layout
from edge_reid.transfer.poll_timer import PollTimer

TIMEOUT_S = 10.0


class HttpsSource:
    """Asks a web server, every so many seconds.

    Args:
        url: `https://…`.
        layout: of what lies there.
        ca_file: whose certificates are trusted; None: those of the system.
        poll_s: how often `news` asks for the head.

    Raises:
        ConfigError: the CA file is missing, or is none.
    """

    def __init__(self, url: str, layout: Layout, ca_file: Path | None, *, poll_s: float) -> None:
        self._url = url.rstrip("/")
        self._path = urlsplit(url).path.rstrip("/")
        self._layout = layout
        self._timer = PollTimer(poll_s)
        self._connection = _connection(url, ca_file, layout.section)

    def news(self, timeout_s: float) -> bytes | None:
        """The head, when it is time to ask.

        Raises:
            EdgeReidError: the server is not there, not to be trusted, or has none; of the layout's
                kind, as in all methods.
        """
        return self._get(HEAD, self._layout.max_head_bytes) if self._timer.wait(timeout_s) else None

    def trigger(self) -> None:
        """Ask at once, next time."""
        self._timer.trigger()

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Blobs, one by one."""
        for ref in refs:
            limit_bytes = self._layout.piece_limit_bytes(ref)
            pieces = [self._get(path, limit_bytes) for path in self._layout.paths(ref)]
            yield ref, self._layout.join(ref, pieces)

    @contextmanager
    def open(self, ref: BlobRef, start: int = 0) -> Iterator[IO[bytes]]:
        """A blob in one piece, from an offset on, also of a server that knows no ranges."""
        (path,) = self._layout.paths(ref)
        with self._open(path, start) as response:
            if response.status == http.client.OK:
                _skip(response, start)
            yield cast("IO[bytes]", response)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _get(self, path: str, limit_bytes: int) -> bytes:
        with self._open(path) as response:
            return response.read(limit_bytes + 1)

    @contextmanager
    def _open(self, path: str, start: int = 0) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request, if it is what was asked for; errors while it is read, too."""
        where = f"{self._layout.noun} {self._url}/{path}"
        response = None
        try:
            response = self._ask_twice(path, start)
            if response.status not in {http.client.OK, http.client.PARTIAL_CONTENT}:
                raise self._layout.error(
                    f"{where}: expected status 200, got {response.status} {response.reason}; "
                    f"is the {self._layout.noun} published there?"
                )
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise self._layout.error(f"{where}: cannot be had: {error}") from error
        finally:
            if response is None or not response.isclosed():
                self._connection.close()  # what was not read would stand before the next answer

    def _ask_twice(self, path: str, start: int) -> http.client.HTTPResponse:
        try:
            return self._ask(path, start)
        except (OSError, http.client.HTTPException):
            self._connection.close()  # a server may hang up on a connection it kept for long
            return self._ask(path, start)

    def _ask(self, path: str, start: int) -> http.client.HTTPResponse:
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        self._connection.request("GET", f"{self._path}/{path}", headers=headers)
        return self._connection.getresponse()


def _connection(url: str, ca_file: Path | None, section: str) -> http.client.HTTPSConnection:
    """A connection to the server of a URL; opened when it is first used."""
    parts = urlsplit(url)
    try:
        context = verifying_context(ca_file, "give the CA that signed the server's certificate")
    except ValueError as error:
        raise ConfigError(section, [f"ca_file: {error}"]) from error
    return http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, timeout=TIMEOUT_S, context=context
    )


def _skip(response: http.client.HTTPResponse, size_bytes: int) -> None:
    left_bytes = size_bytes
    while left_bytes > 0 and (piece := response.read(min(left_bytes, PIECE_BYTES))):
        left_bytes -= len(piece)
