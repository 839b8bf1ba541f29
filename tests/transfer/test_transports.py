"""What a transport's target is given comes out of its source, whatever is published."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto
from support.tcp_gate import Gate
from support.web_server import WebServer

from edge_reid.core.errors import BundleError
from edge_reid.mqtt.broker import Broker
from edge_reid.release.release_transfer import RELEASE
from edge_reid.signing.blobs import CHUNK_BYTES, BlobRef
from edge_reid.signing.transport import PublicationSource, PublicationTarget
from edge_reid.transfer.folder import FolderSource, FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY
from edge_reid.transfer.https import HttpsSource
from edge_reid.transfer.layout import Layout
from edge_reid.transfer.mqtt import MqttSource, MqttTarget

BODIES = [random.Random(n).randbytes(n * CHUNK_BYTES + 100) for n in (0, 1, 3)]
BLOBS = [(BlobRef(hashlib.sha256(body).hexdigest(), len(body)), body) for body in BODIES]
REFS = [ref for ref, _ in BLOBS]
TRANSPORTS = ["folder", "https", pytest.param("mqtt", marks=pytest.mark.broker)]


@dataclass(frozen=True)
class Ends:
    """Both ends of a transport."""

    layout: Layout
    target: PublicationTarget
    source: PublicationSource


@pytest.fixture(params=[GALLERY, RELEASE], ids=["gallery", "release"])
def layout(request: pytest.FixtureRequest) -> Layout:
    return request.param


@pytest.fixture(params=TRANSPORTS)
def ends(request: pytest.FixtureRequest, layout: Layout, tmp_path: Path) -> Iterator[Ends]:
    folder = tmp_path / "out"
    folder.mkdir()
    with ExitStack() as stack:
        if request.param == "mqtt":
            broker = request.getfixturevalue("broker").broker()
            topic = f"edge-reid/lab/{layout.noun}/head"
            target: PublicationTarget = stack.enter_context(MqttTarget(broker, topic, layout))
            source: PublicationSource = MqttSource(broker, topic, layout, repeat_s=0.01)
        else:
            target = FolderTarget(folder, layout)
            source = FolderSource(folder, layout, poll_s=0.01)
        if request.param == "https":
            server = stack.enter_context(WebServer(folder, tmp_path))
            source = HttpsSource(server.url, layout, server.ca_file, poll_s=0.01)
        yield Ends(layout, target, source)
        source.close()


def test_a_head_and_its_blobs_come_as_they_were_published(ends: Ends) -> None:
    assert ends.target.head() is None
    assert list(ends.target.put(BLOBS)) == REFS
    ends.target.put_head(b"sealed")
    assert ends.target.head() == b"sealed"
    assert ends.source.news(5.0) == b"sealed"
    assert sorted(ends.source.fetch(REFS), key=by_hash) == sorted(BLOBS, key=by_hash)


def test_another_head_is_news(ends: Ends) -> None:
    ends.target.put_head(b"first")
    assert ends.source.news(5.0) == b"first"
    ends.target.put_head(b"second")
    ends.source.trigger()
    heads = [ends.source.news(1.0) for _ in range(3)]
    assert heads[-1] == b"second"


def test_a_blob_that_was_cleared_is_missing_and_the_others_are_there(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_reid.transfer.mqtt.QUIET_S", 0.5)
    list(ends.target.put(BLOBS))
    assert list(ends.target.clear(REFS[:1])) == REFS[:1]
    assert dict(ends.source.fetch(REFS[1:])) == dict(BLOBS[1:])
    with pytest.raises(ends.layout.error) as refused:  # type: ignore[arg-type, call-overload]
        list(ends.source.fetch(REFS[:1]))
    assert REFS[0].sha256 in str(refused.value)
    assert "publish" in str(refused.value)


@pytest.mark.parametrize("layout", [RELEASE], ids=["release"])
def test_a_file_is_read_from_any_byte_on(ends: Ends) -> None:
    list(ends.target.put(BLOBS))
    for ref, body in BLOBS:
        for start in (0, len(body) // 2, len(body)):
            with ends.source.open(ref, start) as rest:
                assert rest.read() == body[start:]


@pytest.mark.broker
def test_a_head_that_the_broker_kept_to_itself_comes_when_it_is_asked_for(
    broker: Mosquitto, layout: Layout
) -> None:
    """It owes a subscription with QoS 0 nothing."""
    topic = f"edge-reid/lab/{layout.noun}/head"
    with Gate(broker.port) as gate, MqttTarget(broker.broker(), topic, layout) as target:
        source = MqttSource(Broker("127.0.0.1", gate.port), topic, layout, repeat_s=60.0)
        target.put_head(b"first")
        assert source.news(5.0) == b"first"
        gate.is_frozen = True
        target.put_head(b"second")
        time.sleep(0.2)  # it was sent, and swallowed
        gate.is_frozen = False
        assert source.news(0.2) is None
        source.trigger()
        assert source.news(5.0) == b"second"
        source.close()


@pytest.mark.broker
def test_a_head_that_somebody_replaced_at_the_same_moment_is_said(broker: Mosquitto) -> None:
    topic = "edge-reid/lab/release/head"

    class Rival(MqttTarget):
        def leave(self, topic: str, body: bytes | str) -> None:
            super().leave(topic, body)
            with MqttTarget(broker.broker(), topic, RELEASE) as other:
                other.put_head(b"theirs")

    with (
        Rival(broker.broker(), topic, RELEASE) as target,
        pytest.raises(BundleError, match="another release was published at the same moment"),
    ):
        target.put_head(b"ours")


def test_a_head_that_somebody_replaced_in_the_folder_is_said(tmp_path: Path) -> None:
    class Rival(FolderTarget):
        def _write(self, path: str, body: bytes) -> None:
            super()._write(path, body)
            FolderTarget(tmp_path, RELEASE).put_head(b"theirs")

    with pytest.raises(BundleError, match="another release was published at the same moment"):
        Rival(tmp_path, RELEASE).put_head(b"ours")


@pytest.mark.broker
def test_a_head_is_cleared_by_an_empty_one(broker: Mosquitto) -> None:
    with MqttTarget(broker.broker(), "edge-reid/lab/release/head", RELEASE) as target:
        target.put_head(b"sealed")
        target.put_head(b"")
        assert target.head() is None


def test_a_large_file_counts_once_it_is_whole(tmp_path: Path) -> None:
    ref, body = BLOBS[1]
    target = FolderTarget(tmp_path, RELEASE)

    def half() -> None:
        with target.create(ref) as sink:
            assert sink is not None
            sink.write(body[:10])
            raise BundleError("forged")

    with pytest.raises(BundleError, match="forged"):
        half()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with target.create(ref) as sink:
        assert sink is not None
        sink.write(body)
    with target.create(ref) as sink:
        assert sink is None, "it lies there already"


def by_hash(blob: tuple[BlobRef, bytes]) -> str:
    return blob[0].sha256
