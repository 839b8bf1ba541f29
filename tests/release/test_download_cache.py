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
from edge_reid.release.file_source import ReleaseFolder, ReleaseWebServer, place_of
from edge_reid.signing.blobs import BlobRef

BODY = random.Random(1).randbytes(900_000)
REF = BlobRef(hashlib.sha256(BODY).hexdigest(), len(BODY))


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
    """A depot with one file."""
    file = tmp_path / "depot" / place_of(REF.sha256)
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    return tmp_path / "depot"


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[WebServer]:
    """Knows no ranges."""
    with WebServer(folder, tmp_path) as server:
        yield server


def test_a_file_comes_from_a_folder_and_counts_once_it_is_whole(
    folder: Path, tmp_path: Path
) -> None:
    stock, came = DownloadCache(tmp_path / "stock"), []
    assert not stock.has(REF)
    path = stock.fetch(REF, ReleaseFolder(folder), came.append)
    assert (path.read_bytes(), sum(came), stock.has(REF)) == (BODY, len(BODY), True)
    path.write_bytes(BODY[:-1] + b"x")
    assert not stock.has(REF), "a file that a card has harmed is fetched again"
    assert stock.fetch(REF, ReleaseFolder(folder)).read_bytes() == BODY


def test_what_was_cut_off_goes_on_where_it_was(tmp_path: Path, folder: Path) -> None:
    class Handler(Ranges):
        asked: ClassVar[list[str | None]] = []

    stock = DownloadCache(tmp_path / "stock")
    with WebServer(folder, tmp_path, Handler) as server:
        depot = ReleaseWebServer(server.url, server.ca_file)
        (folder / place_of(REF.sha256)).write_bytes(BODY[:500_000])
        with pytest.raises(BundleError, match="expected 900000 bytes, got 500000; it goes on"):
            stock.fetch(REF, depot)
        (folder / place_of(REF.sha256)).write_bytes(BODY)
        assert stock.fetch(REF, depot).read_bytes() == BODY
    assert Handler.asked == [None, "bytes=500000-"]


def test_a_server_that_knows_no_ranges_sends_it_all_again(
    tmp_path: Path, server: WebServer
) -> None:
    stock = DownloadCache(tmp_path / "stock")
    stock.files.mkdir(parents=True)
    (stock.files / f"{REF.sha256}.part").write_bytes(BODY[:500_000])
    assert stock.fetch(REF, ReleaseWebServer(server.url, server.ca_file)).read_bytes() == BODY


def test_what_such_a_server_sends_again_is_not_kept_in_memory(
    tmp_path: Path, folder: Path, server: WebServer
) -> None:
    """A wheel may be larger than what the service may use."""
    body = bytes(20_000_000)
    ref = BlobRef(hashlib.sha256(body).hexdigest(), len(body))
    (folder / place_of(ref.sha256)).write_bytes(body)
    depot = ReleaseWebServer(server.url, server.ca_file)
    tracemalloc.start()
    with depot.open(ref.sha256, len(body) - 100) as rest:
        assert len(rest.read()) == 100
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 5_000_000


@pytest.mark.parametrize("change", [lambda b: b[:-1] + b"x", lambda b: b + b"more"])
def test_another_file_under_that_name_is_not_kept(folder: Path, tmp_path: Path, change) -> None:
    file = folder / place_of(REF.sha256)
    file.write_bytes(change(BODY))
    stock = DownloadCache(tmp_path / "stock")
    if len(file.read_bytes()) == len(BODY):
        with pytest.raises(BundleError, match="expected this SHA-256"):
            stock.fetch(REF, ReleaseFolder(folder))
        assert list(stock.files.iterdir()) == [], "nor any part of it"
    else:
        assert stock.fetch(REF, ReleaseFolder(folder)).read_bytes() == BODY, "no more is read"


def test_a_part_that_is_longer_than_the_file_begins_anew(folder: Path, tmp_path: Path) -> None:
    stock = DownloadCache(tmp_path / "stock")
    stock.files.mkdir(parents=True)
    (stock.files / f"{REF.sha256}.part").write_bytes(BODY + b"of another time")
    assert stock.fetch(REF, ReleaseFolder(folder)).read_bytes() == BODY


def test_nobody_there_nothing_there_and_nobody_to_trust(
    tmp_path: Path, folder: Path, server: WebServer
) -> None:
    stock = DownloadCache(tmp_path / "stock")
    for depot, reason in (
        (ReleaseFolder(tmp_path / "no stick"), "is the stick in, and the release published there"),
        (ReleaseWebServer(server.url, None), "certificate verify failed"),
        (ReleaseWebServer("https://127.0.0.1:9", None), "cannot be had: .*refused"),
        (
            ReleaseWebServer(f"{server.url}/elsewhere", server.ca_file),
            "expected status 200, got 404",
        ),
    ):
        with pytest.raises(BundleError, match=reason):
            stock.fetch(REF, depot)
    with pytest.raises(ConfigError, match="ca_file"):
        ReleaseWebServer(server.url, folder / place_of(REF.sha256))


def test_no_room_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"expected \d+ MB free, got \d+; make room"):
        DownloadCache(tmp_path / "stock").check_room([BlobRef("0" * 64, 1 << 60)])


def test_a_disk_that_fills_up_is_blamed_and_not_the_stick(folder: Path, tmp_path: Path) -> None:
    stock = DownloadCache(tmp_path / "stock")
    stock.files.mkdir(parents=True)
    (stock.files / f"{REF.sha256}.part").symlink_to("/dev/full")
    with pytest.raises(BundleError, match=r"\.part: No space left on device; make room"):
        stock.fetch(REF, ReleaseFolder(folder))


def test_only_what_belongs_to_the_release_is_kept(folder: Path, tmp_path: Path) -> None:
    stock = DownloadCache(tmp_path / "stock")
    stock.fetch(REF, ReleaseFolder(folder))
    (stock.files / ("f" * 64)).write_bytes(b"of the release before")
    stock.keep_only({REF})
    assert [it.name for it in stock.files.iterdir()] == [REF.sha256]
