"""A broker that sends what nobody asked for, without end, fills no memory and keeps nobody."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from itertools import count

import pytest

from edge_reid.core.errors import SnapshotError
from edge_reid.mqtt.broker import Broker
from edge_reid.signing.blobs import CHUNK_BYTES, BlobRef
from edge_reid.transfer import mqtt as sync_mqtt
from edge_reid.transfer.gallery_transfer import gallery_from_broker

BODY = b"x" * 1000
REF = BlobRef(hashlib.sha256(BODY).hexdigest(), len(BODY))


def published(topic: str, body: bytes) -> bytes:
    rest = len(topic).to_bytes(2, "big") + topic.encode() + b"\0" + body
    length, left = bytearray(), len(rest)
    while left or not length:
        left, low = divmod(left, 128)
        length.append(low | (128 if left else 0))
    return bytes([0x30]) + bytes(length) + rest


def talk(link: socket.socket, wanted: str | None) -> None:
    """Greet, agree to a subscription, and send chunks that grow in number."""
    link.recv(4096)
    link.sendall(bytes([0x20, 3, 0, 0, 0]))
    subscription = link.recv(4096)
    link.sendall(bytes([0x90, 4]) + subscription[2:4] + bytes([0, 1]))
    for n in count():
        link.sendall(published(f"edge-reid/lab/gallery/blob/{n:064x}/0", b"y" * CHUNK_BYTES))
        if wanted and n == 20:
            link.sendall(published(wanted, BODY))


@pytest.fixture
def flood(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            link, _ = server.accept()
            with link:
                try:
                    talk(link, getattr(request, "param", None))
                except OSError:  # who has heard enough has hung up
                    return

        speaker = threading.Thread(target=speak)
        speaker.start()
        yield Broker("127.0.0.1", server.getsockname()[1])
        speaker.join()


def test_what_does_not_come_is_not_waited_for_while_other_things_do(
    flood: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_mqtt, "QUIET_S", 1.0)
    tracemalloc.start()
    began_s = time.monotonic()
    with pytest.raises(SnapshotError, match="did not come"):
        list(gallery_from_broker(flood, "edge-reid", "lab", repeat_s=60).fetch([REF]))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began_s < 10
    assert peak_bytes < 4 << 20


@pytest.mark.parametrize("flood", [f"edge-reid/lab/gallery/{REF.paths[0]}"], indirect=True)
def test_what_comes_among_them_is_taken(flood: Broker) -> None:
    source = gallery_from_broker(flood, "edge-reid", "lab", repeat_s=60)
    assert list(source.fetch([REF])) == [(REF, BODY)]
