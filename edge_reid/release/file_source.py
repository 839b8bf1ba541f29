"""Where the files of releases lie, each under its SHA-256: `files/<sha256>` below a web server's
URL or in a folder. A file that two releases share lies there, and travels, once.

Nothing here is trusted: who asks checks sizes and hashes.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol, cast
from urllib.parse import urlsplit

from edge_reid.core.config import UpdateSettings
from edge_reid.core.errors import BundleError
from edge_reid.transfer.web import web_connection

PIECE_BYTES = 1 << 18
"""Read at a time: a device has not the memory for a whole wheel."""


def place_of(sha256: str) -> str:
    """Where a file lies below the depot."""
    return f"files/{sha256}"


class ReleaseFileSource(Protocol):
    """Where files come from."""

    def open(self, sha256: str, start: int) -> AbstractContextManager[IO[bytes]]:
        """A file's bytes from `start` on; raises BundleError, on reading as well."""


class ReleaseFolder:
    """A folder, such as a stick's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, sha256: str, start: int) -> Iterator[IO[bytes]]:
        """A file's bytes from `start` on.

        Raises:
            BundleError: it is not there, or cannot be read.
        """
        try:
            with (self._folder / place_of(sha256)).open("rb") as file:
                file.seek(start)
                yield file
        except OSError as error:
            raise BundleError(
                f"release {self._folder}: {place_of(sha256)} cannot be read: {error.strerror}; "
                "is the stick in, and the release published there?"
            ) from error


class ReleaseWebServer:
    """A web server.

    Raises:
        ConfigError: the CA file is none.
    """

    def __init__(self, url: str, ca_file: Path | None) -> None:
        self._url = url.rstrip("/")
        self._path = urlsplit(url).path.rstrip("/")
        self._connection = web_connection(url, ca_file, "update")

    @contextmanager
    def open(self, sha256: str, start: int) -> Iterator[IO[bytes]]:
        """A file's bytes from `start` on; a server that knows no ranges sends what we skip.

        Raises:
            BundleError: the server is not there, not to be trusted, has none, or hangs up.
        """
        where = f"release {self._url}/{place_of(sha256)}"
        try:
            response = self._ask(place_of(sha256), start)
            if response.status not in {http.client.OK, http.client.PARTIAL_CONTENT}:
                raise BundleError(
                    f"{where}: expected status 200, got {response.status} {response.reason}; "
                    "is the release published there?"
                )
            if response.status == http.client.OK:
                _skip(response, start)
            yield cast("IO[bytes]", response)
        except (OSError, http.client.HTTPException) as error:
            raise BundleError(f"{where}: cannot be had: {error}") from error
        finally:
            self._connection.close()

    def _ask(self, path: str, start: int) -> http.client.HTTPResponse:
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        self._connection.request("GET", f"{self._path}/{path}", headers=headers)
        return self._connection.getresponse()


def _skip(response: http.client.HTTPResponse, size_bytes: int) -> None:
    left = size_bytes
    while left > 0 and (piece := response.read(min(left, PIECE_BYTES))):
        left -= len(piece)


def open_release_files(settings: UpdateSettings) -> ReleaseFileSource:
    """The depot that the settings name. It need not be there yet.

    Raises:
        ConfigError: a file that they name cannot be read.
    """
    if settings.source.startswith("https://"):
        return ReleaseWebServer(settings.source, settings.ca_file)
    return ReleaseFolder(Path(settings.source))
