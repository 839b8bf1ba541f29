"""Whoever changes a gallery on its way, and wherever the power goes: one whole version, or none."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support import killed_device
from support.cameraless_agent import CameralessAgent, Life
from support.consumer import Consumer, eventually
from support.device_server import device_server
from support.fault_figures import Figure, record
from support.gallery_publisher import (
    ENOUGH_FOR_A_TREE,
    SITE,
    Workshop,
    assert_same_people,
    in_force,
    portraits,
)
from support.mosquitto import Mosquitto
from support.policies import CameralessParts
from support.tcp_gate import Gate

from edge_reid.core.errors import EdgeReidError, SnapshotError
from edge_reid.core.types import GallerySnapshot
from edge_reid.gallery.gallery_install import LoadedGallery, install, load_held, nothing_to_fetch
from edge_reid.gallery.replica import Replica
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.retained import read_retained
from edge_reid.signing.blobs import BlobRef
from edge_reid.transfer import mqtt as sync_mqtt
from edge_reid.transfer.folder import FolderSource, FolderTarget
from edge_reid.transfer.gallery_transfer import GALLERY, gallery_at_broker, gallery_from_broker
from edge_reid.wire.topics import Address

ROOT = "edge-reid"
REFUSED = re.compile("signature is not of|expected this SHA-256")
TOPIC = f"{ROOT}/{SITE}/gallery"


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path, people=ENOUGH_FOR_A_TREE) as workshop:
        yield workshop


class Attacker:
    """Somebody whose login may write where the gallery lies."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def put(self, topic: str, body: bytes) -> None:
        connection = connect(self._broker)
        connection.publish(Message(topic, body, retain=True))
        while not connection.is_idle:
            connection.turn(0.1)
        connection.close()


def retained(broker: Broker) -> dict[str, bytes]:
    """Every message of the gallery, as it lies at the broker."""
    connection = connect(broker)
    connection.subscribe([f"{TOPIC}/#"])
    messages = read_retained(connection.receive).messages
    connection.close()
    return {message.topic: message.body for message in messages}


def flipped(body: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(body))
    return body[:place] + bytes([body[place] ^ 1 << dice.randrange(8)]) + body[place + 1 :]


def sync_once(broker: Broker, workshop: Workshop, path: Path) -> LoadedGallery | None:
    """What a device does with what lies at the broker."""
    source = gallery_from_broker(broker, ROOT, SITE, repeat_s=60)
    try:
        sealed = None
        while sealed is None:
            sealed = source.news(5.0)
        with Replica.open(path) as replica:
            return install(sealed, source.fetch, replica, workshop.pinned(), now_utc_s=time.time())
    finally:
        source.close()


@pytest.mark.broker
def test_every_message_of_the_sync_that_is_changed_is_refused(
    broker: Mosquitto, workshop: Workshop, tmp_path: Path
) -> None:
    with gallery_at_broker(broker.broker(), ROOT, SITE) as place:
        done = workshop.publish(place)
    messages = retained(broker.broker())
    assert len(messages) == done.head.blobs + 1
    dice, attacker = random.Random(1), Attacker(broker.broker())
    for number, (topic, body) in enumerate(messages.items()):
        attacker.put(topic, flipped(body, dice))
        path = tmp_path / f"device-{number}.db"
        with pytest.raises(SnapshotError, match="signature is not of|expected this SHA-256"):
            sync_once(broker.broker(), workshop, path)
        with Replica.open(path) as replica:
            assert replica.in_force is None
        attacker.put(topic, body)
        if number == 0:  # set right again, the same device goes on from there
            assert sync_once(broker.broker(), workshop, path) is not None


@pytest.mark.broker
def test_an_agent_says_in_its_status_why_it_has_refused_a_changed_message(
    broker: Mosquitto, workshop: Workshop, tmp_path: Path
) -> None:
    """Whichever message a man in the middle changes: no swap, and the reason where people look."""
    with gallery_at_broker(broker.broker(), ROOT, SITE) as place:
        workshop.publish(place)
    messages = retained(broker.broker())
    dice, attacker = random.Random(4), Attacker(broker.broker())
    swapped = 0
    for number, (topic, body) in enumerate(messages.items()):
        attacker.put(topic, flipped(body, dice))
        folder = tmp_path / str(number)
        folder.mkdir()
        life = Life(folder, broker.url, workshop.public_key_path, 1, agent=f"device-{number}")
        status = Address(ROOT, SITE, life.agent).agent_status
        with CameralessAgent(life) as agent, Consumer(broker.broker(), status) as consumer:

            def reason(agent: CameralessParts = agent, consumer: Consumer = consumer) -> str:
                agent.between_frames.run(None, None)
                return str((consumer.payloads("status") or [{}])[-1].get("gallery"))

            eventually(lambda: REFUSED.search(reason()) is not None, 20)
            swapped += consumer.payloads("status")[-1]["gallery_version"] != 0
        attacker.put(topic, body)
    figure = Figure("a bit flipped in a message of the gallery", len(messages), lost=swapped)
    record(figure)
    assert figure.lost == 0


@pytest.mark.broker
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: body[:-1], "it is cut short or was changed"),
        (lambda body: body + b"\0", "it is cut short or was changed"),
        (lambda body: b"\0" * 200_000, "it is cut short or was changed"),
        (lambda body: b"", "did not come; publish the gallery again"),
    ],
    ids=["cut", "longer", "huge", "cleared"],
)
def test_a_chunk_that_is_cut_grown_or_gone(
    broker: Mosquitto,
    workshop: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    with gallery_at_broker(broker.broker(), ROOT, SITE) as place:
        done = workshop.publish(place)
    monkeypatch.setattr(sync_mqtt, "QUIET_S", 0.5 if words.startswith("did not come") else 10.0)
    topic = f"{TOPIC}/{done.head.root.ref.paths[0]}"
    body = retained(broker.broker())[topic]
    Attacker(broker.broker()).put(topic, change(body))
    with pytest.raises(SnapshotError, match=words):
        sync_once(broker.broker(), workshop, tmp_path / "device.db")


class Twister(Gate):
    """A gate that flips one bit of what the broker says, a given number of bytes in."""

    def __init__(self, target_port: int, place: int) -> None:
        super().__init__(target_port)
        self.place = place
        self.passed = 0

    def _changed(self, said: bytes, side: socket.socket) -> bytes:
        if side.getpeername()[1] != self._target_port:  # what the device says
            return said
        at, self.passed = self.place - self.passed, self.passed + len(said)
        if 0 <= at < len(said):
            return said[:at] + bytes([said[at] ^ 0x10]) + said[at + 1 :]
        return said


@pytest.mark.broker
def test_bits_that_flip_on_the_wire_never_make_half_a_gallery(
    broker: Mosquitto, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anywhere in the stream, MQTT's own bytes too: refused, broken off, or harmless."""
    with gallery_at_broker(broker.broker(), ROOT, SITE) as place:
        workshop.publish(place)
    monkeypatch.setattr(sync_mqtt, "QUIET_S", 0.3)
    dice, expected = random.Random(2), workshop.store.snapshot()
    whole = refused = 0
    for number in range(20):
        path = tmp_path / f"device-{number}.db"
        with Twister(broker.port, dice.randrange(20, 60_000)) as gate:
            try:
                sync_through(gate, workshop, path)
            except EdgeReidError:
                refused += 1
        with Replica.open(path) as replica:
            if replica.in_force:
                whole += 1
                assert_same_people(in_force(workshop, replica), expected)
    record(
        Figure("a bit flipped anywhere on the wire during a sync", 20, lost=20 - whole - refused)
    )
    assert refused
    assert whole + refused >= 20


def sync_through(gate: Gate, workshop: Workshop, path: Path) -> None:
    source = gallery_from_broker(Broker("127.0.0.1", gate.port), ROOT, SITE, repeat_s=60)
    try:
        sealed = source.news(2.0) or source.news(2.0)
        if sealed is None:
            raise SnapshotError("no head came")
        with Replica.open(path) as replica:
            install(sealed, source.fetch, replica, workshop.pinned(), now_utc_s=time.time())
    finally:
        source.close()


@pytest.mark.broker
def test_a_link_that_breaks_costs_only_what_was_on_its_way(
    broker: Mosquitto, workshop: Workshop, tmp_path: Path
) -> None:
    with gallery_at_broker(broker.broker(), ROOT, SITE) as place:
        done = workshop.publish(place)
    fetched: list[BlobRef] = []

    def until_it_breaks(
        fetch: Callable[..., Iterable[tuple[BlobRef, bytes]]], after: int
    ) -> Callable[..., Iterator[tuple[BlobRef, bytes]]]:
        def broken(refs: list[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
            for ref, body in fetch(refs):
                fetched.append(ref)
                yield ref, body
                if len(fetched) == after:
                    raise SnapshotError("the cable was pulled")

        return broken

    source = gallery_from_broker(broker.broker(), ROOT, SITE, repeat_s=0.01)
    with Replica.open(tmp_path / "device.db") as replica:
        for after in (3, 9, -1):
            sealed = None
            while sealed is None:
                sealed = source.news(1.0)
            fetch = until_it_breaks(source.fetch, after)
            with suppress(SnapshotError):
                install(sealed, fetch, replica, workshop.pinned(), now_utc_s=1.0)
            assert (replica.in_force is None) == (after > 0)
        assert_same_people(in_force(workshop, replica), workshop.store.snapshot())
    source.close()
    assert len(fetched) == len(set(fetched)) == done.head.blobs


class Shelf(FolderTarget):
    """Keeps the blobs of all versions, and gives their heads away."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, GALLERY)
        self.heads: list[bytes] = []

    def head(self) -> bytes | None:
        return self.heads[-1] if self.heads else None

    def put_head(self, sealed: bytes) -> None:
        self.heads.append(sealed)

    def clear(self, refs: Iterable[BlobRef]) -> Iterator[BlobRef]:
        yield from refs


def fingerprint(snapshot: GallerySnapshot) -> str:
    names = "\n".join(snapshot.identities).encode()
    return hashlib.sha256(
        names + snapshot.labels.tobytes() + snapshot.vectors.tobytes()
    ).hexdigest()


@pytest.mark.parametrize("kills", [50, pytest.param(200, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_a_device_killed_at_any_moment_has_one_whole_version(
    workshop: Workshop, tmp_path: Path, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path / "shelf")
    versions: dict[int, str] = {}
    for n in range(8):
        workshop.store.remove(f"person {n}")
        workshop.store.add_all(portraits(f"new {n}"))
        workshop.publish(shelf)
        with Replica.open(tmp_path / "reference.db") as reference:
            source = FolderSource(tmp_path / "shelf", GALLERY, poll_s=1.0)
            arrived = install(
                shelf.heads[-1], source.fetch, reference, workshop.pinned(), now_utc_s=1
            )
            assert arrived is not None
            versions[arrived.snapshot.version] = fingerprint(arrived.snapshot)
    path = tmp_path / "device.db"
    life = killed_device.Life(path, tmp_path / "shelf", tuple(shelf.heads), workshop.pinned())
    server = device_server(monkeypatch)
    dice = random.Random(3)
    found: list[int] = []
    broken = 0
    for _ in range(kills):
        ours, theirs = server.Pipe()
        device = server.Process(target=killed_device.live, args=(life, theirs), daemon=True)
        device.start()
        assert ours.recv() == "alive"
        time.sleep(dice.uniform(0, 0.2))
        device.kill()
        device.join()
        with Replica.open(path) as replica:
            held = replica.in_force
            if held is None:  # between two beginnings
                continue
            arrived = load_held(held, nothing_to_fetch, replica, workshop.pinned())
        broken += versions[held.version] != fingerprint(arrived.snapshot)
        found.append(held.version)
    record(Figure("device killed -9 while it takes new galleries", kills, lost=broken))
    assert not broken
    assert len(found) > kills / 4
    assert len(set(found)) > 2, "they were all killed at the same place"
