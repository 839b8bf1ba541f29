"""A gallery from a real web server, over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gallery_publisher import ENOUGH_FOR_A_TREE, Workshop, assert_same_people
from support.web_server import Silent, WebServer

from edge_reid.core.errors import ConfigError, SnapshotError
from edge_reid.gallery.gallery_install import install
from edge_reid.gallery.replica import Replica
from edge_reid.signing.blobs import BlobRef, ref_of
from edge_reid.transfer.gallery_transfer import GALLERY
from edge_reid.transfer.https import HttpsSource


class Handler(Silent):
    """Leads astray at /moved."""

    def do_GET(self) -> None:  # noqa: N802 - the name of the library
        if "/moved/" in self.path:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1/head")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path, people=ENOUGH_FOR_A_TREE) as workshop:
        workshop.publish()
        yield workshop


@pytest.fixture
def server(workshop: Workshop, tmp_path: Path) -> Iterator[WebServer]:
    with WebServer(workshop.out, tmp_path, Handler) as server:
        yield server


@pytest.fixture
def ca_file(server: WebServer) -> Path:
    return server.ca_file


@pytest.fixture
def url(server: WebServer) -> str:
    return server.url


def test_a_gallery_comes_from_a_web_server(
    workshop: Workshop, ca_file: Path, url: str, tmp_path: Path
) -> None:
    source = HttpsSource(f"{url}/", GALLERY, ca_file, poll_s=0.01)
    with Replica.open(tmp_path / "device.db") as replica:
        sealed = source.news(1.0)
        assert sealed is not None
        arrived = install(sealed, source.fetch, replica, workshop.pinned(), now_utc_s=1.0)
    source.close()
    assert arrived is not None
    assert_same_people(arrived.snapshot, workshop.store.snapshot())


def test_a_ca_file_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    """It is no broken certificate."""
    with pytest.raises(ConfigError) as caught:
        HttpsSource("https://server", GALLERY, tmp_path / "ca.crt", poll_s=1)
    (problem,) = caught.value.problems
    assert problem.startswith(f"ca_file: {tmp_path}/ca.crt: no such file; give the CA that signed")


def test_what_is_not_there_is_named(ca_file: Path, url: str) -> None:
    source = HttpsSource(url, GALLERY, ca_file, poll_s=0.01)
    with pytest.raises(SnapshotError, match=r"blob/0000.*: expected status 200, got 404"):
        list(source.fetch([BlobRef("0" * 64, 10)]))
    source.close()


def test_a_redirect_is_not_followed(ca_file: Path, url: str) -> None:
    source = HttpsSource(f"{url}/moved", GALLERY, ca_file, poll_s=0.01)
    with pytest.raises(SnapshotError, match="expected status 200, got 302"):
        source.news(1.0)
    source.close()


def test_a_server_that_says_too_much_is_cut_off(
    workshop: Workshop, ca_file: Path, url: str
) -> None:
    (workshop.out / "head").write_bytes(b"x" * 10_000_000)
    ref = ref_of(b"small")
    (workshop.out / "blob" / ref.sha256).mkdir()
    (workshop.out / "blob" / ref.sha256 / "0").write_bytes(b"x" * 10_000_000)
    source = HttpsSource(url, GALLERY, ca_file, poll_s=0.01)
    assert len(source.news(1.0) or b"") < 10_000
    with pytest.raises(SnapshotError, match="expected 5 bytes, got 65537"):
        list(source.fetch([ref]))
    source.close()


def test_a_server_that_we_do_not_trust(url: str) -> None:
    source = HttpsSource(url, GALLERY, None, poll_s=0.01)
    with pytest.raises(SnapshotError, match="certificate verify failed"):
        source.news(1.0)


def test_nobody_there_and_no_certificate_file(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be had: .*refused"):
        HttpsSource("https://127.0.0.1:9", GALLERY, None, poll_s=0.01).news(1.0)
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ConfigError, match="ca_file: .*: expected certificates in PEM"):
        HttpsSource("https://127.0.0.1:9", GALLERY, tmp_path / "ca.pem", poll_s=0.01)
