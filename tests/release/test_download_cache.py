"""Files come from folders and web servers, over interruptions and past whoever changes them."""

from __future__ import annotations

import hashlib
import http.server
import random
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from support.web_server import WebServer

from edge_reid.core.errors import BundleError, ConfigError
from edge_reid.release.download_cache import DownloadCache
from edge_reid.release.release_transfer import RELEASE
from edge_reid.signing.blobs import BlobRef
from edge_reid.transfer.folder import FolderSource
from edge_reid.transfer.https import HttpsSource

BODY = random.Random(1).randbytes(900_000)
REF = BlobRef(hashlib.sha256(BODY).hexdigest(), len(BODY))


def file_of(ref: BlobRef) -> str:
    """Where a file of a release lies, below what is published."""
    return f"files/{ref.sha256}"


def in_folder(folder: Path) -> FolderSource:
    return FolderSource(folder, RELEASE, poll_s=60)


def on_server(url: str, ca_file: Path | None) -> HttpsSource:
    return HttpsSource(url, RELEASE, ca_file, poll_s=60)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """As most web servers do it, and Python's own does not."""

    asked: ClassVar[list[str | None]]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        body = Path(self.translate_path(self.path)).read_bytes()
        start = int(re.findall(r"\d+", wanted)[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:])

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is published: one file."""
    file = tmp_path / "source" / file_of(REF)
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    return tmp_path / "source"


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[WebServer]:
    """Knows no ranges."""
    with WebServer(folder, tmp_path) as server:
        yield server


def test_a_file_comes_from_a_folder_and_counts_once_it_is_whole(
    folder: Path, tmp_path: Path
) -> None:
    cache, told = DownloadCache(tmp_path / "cache"), []
    assert not cache.has(REF)
    path = cache.fetch(REF, in_folder(folder), lambda *step: told.append(step))
    assert (path.read_bytes(), cache.has(REF)) == (BODY, True)
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, len(BODY)), (len(BODY), len(BODY)))
    path.write_bytes(BODY[:-1] + b"x")
    assert not cache.has(REF), "a file that a card has harmed is fetched again"
    assert cache.fetch(REF, in_folder(folder)).read_bytes() == BODY


def test_what_was_cut_off_goes_on_where_it_was(tmp_path: Path, folder: Path) -> None:
    class Handler(Ranges):
        asked: ClassVar[list[str | None]] = []

    cache = DownloadCache(tmp_path / "cache")
    with WebServer(folder, tmp_path, Handler) as server:
        source = on_server(server.url, server.ca_file)
        (folder / file_of(REF)).write_bytes(BODY[:500_000])
        with pytest.raises(BundleError, match="expected 900000 bytes, got 500000; it goes on"):
            cache.fetch(REF, source)
        (folder / file_of(REF)).write_bytes(BODY)
        assert cache.fetch(REF, source).read_bytes() == BODY
    assert Handler.asked == [None, "bytes=500000-"]


def test_a_server_that_knows_no_ranges_sends_it_all_again(
    tmp_path: Path, server: WebServer
) -> None:
    cache = DownloadCache(tmp_path / "cache")
    cache.files.mkdir(parents=True)
    (cache.files / f"{REF.sha256}.part").write_bytes(BODY[:500_000])
    assert cache.fetch(REF, on_server(server.url, server.ca_file)).read_bytes() == BODY


def test_what_such_a_server_sends_again_is_not_kept_in_memory(
    tmp_path: Path, folder: Path, server: WebServer
) -> None:
    """A wheel may be larger than what the service may use."""
    body = bytes(20_000_000)
    ref = BlobRef(hashlib.sha256(body).hexdigest(), len(body))
    (folder / file_of(ref)).write_bytes(body)
    source = on_server(server.url, server.ca_file)
    tracemalloc.start()
    with source.open(ref, len(body) - 100) as rest:
        assert len(rest.read()) == 100
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 5_000_000


@pytest.mark.parametrize("change", [lambda b: b[:-1] + b"x", lambda b: b + b"more"])
def test_another_file_under_that_name_is_not_kept(folder: Path, tmp_path: Path, change) -> None:
    file = folder / file_of(REF)
    file.write_bytes(change(BODY))
    cache = DownloadCache(tmp_path / "cache")
    if len(file.read_bytes()) == len(BODY):
        with pytest.raises(BundleError, match="expected this SHA-256"):
            cache.fetch(REF, in_folder(folder))
        assert list(cache.files.iterdir()) == [], "nor any part of it"
    else:
        assert cache.fetch(REF, in_folder(folder)).read_bytes() == BODY, "no more is read"


def test_a_part_that_is_longer_than_the_file_begins_anew(folder: Path, tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path / "cache")
    cache.files.mkdir(parents=True)
    (cache.files / f"{REF.sha256}.part").write_bytes(BODY + b"of another time")
    assert cache.fetch(REF, in_folder(folder)).read_bytes() == BODY


def test_nobody_there_nothing_there_and_nobody_to_trust(
    tmp_path: Path, folder: Path, server: WebServer
) -> None:
    cache = DownloadCache(tmp_path / "cache")
    for source, reason in (
        (in_folder(tmp_path / "no stick"), "is the stick in, and the release published there"),
        (on_server(server.url, None), "certificate verify failed"),
        (on_server("https://127.0.0.1:9", None), "cannot be had: .*refused"),
        (
            on_server(f"{server.url}/elsewhere", server.ca_file),
            "expected status 200, got 404",
        ),
    ):
        with pytest.raises(BundleError, match=reason):
            cache.fetch(REF, source)
    with pytest.raises(ConfigError, match="ca_file"):
        on_server(server.url, folder / file_of(REF))


def test_no_room_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"expected \d+ MB free, got \d+; make room"):
        DownloadCache(tmp_path / "cache").check_room([BlobRef("0" * 64, 1 << 60)])


def test_a_disk_that_fills_up_is_blamed_and_not_the_stick(folder: Path, tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path / "cache")
    cache.files.mkdir(parents=True)
    (cache.files / f"{REF.sha256}.part").symlink_to("/dev/full")
    with pytest.raises(BundleError, match=r"\.part: No space left on device; make room"):
        cache.fetch(REF, in_folder(folder))


def test_only_what_belongs_to_the_release_is_kept(folder: Path, tmp_path: Path) -> None:
    cache = DownloadCache(tmp_path / "cache")
    cache.fetch(REF, in_folder(folder))
    (cache.files / ("f" * 64)).write_bytes(b"of the release before")
    cache.keep_only({REF})
    assert [it.name for it in cache.files.iterdir()] == [REF.sha256]
