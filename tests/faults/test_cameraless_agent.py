"""An agent that syncs and publishes, killed at any moment: its gallery whole, its events there."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import pytest
from support.cameraless_agent import CameralessAgent, Life, live
from support.consumer import Consumer, eventually
from support.device_server import device_server
from support.fault_figures import of_hits, record
from support.gallery_publisher import ENOUGH_FOR_A_TREE, SITE, Workshop, portraits
from support.mosquitto import Mosquitto

from edge_reid.core.types import GallerySnapshot
from edge_reid.gallery.gallery_install import load_held, nothing_to_fetch
from edge_reid.gallery.replica import Replica
from edge_reid.transfer.gallery_transfer import gallery_at_broker

PATIENCE_S = 60.0
TRACKS_A_LIFE = 1000


def fingerprint(snapshot: GallerySnapshot) -> str:
    """Of who is in it; vectors travel as float16."""
    names = "\n".join(snapshot.identities).encode()
    return hashlib.sha256(names + snapshot.labels.tobytes()).hexdigest()


def publish(workshop: Workshop, broker: Mosquitto, versions: dict[int, str]) -> None:
    """One person goes and another comes."""
    number = len(versions)
    workshop.store.remove(f"person {number}")
    workshop.store.add_all(portraits(f"new {number}"))
    with gallery_at_broker(broker.broker(), "edge-reid", SITE) as place:
        workshop.publish(place)
    snapshot = workshop.store.snapshot()
    versions[snapshot.version] = fingerprint(snapshot)


def version_held(life: Life, workshop: Workshop, versions: dict[int, str]) -> int | None:
    """What a restart would find in force; it must be one whole version."""
    with Replica.open(life.replica) as replica:
        held = replica.in_force
        if held is None:
            return None
        arrived = load_held(held, nothing_to_fetch, replica, workshop.pinned())
    assert fingerprint(arrived.snapshot) == versions[held.version]
    return held.version


@pytest.mark.broker
@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_an_agent_killed_during_sync_and_events_has_one_gallery_and_all_events(
    broker: Mosquitto, tmp_path: Path, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = device_server(monkeypatch)
    dice, versions = random.Random(5), dict[int, str]()
    committed: set[int] = set()
    held: list[int] = []
    with (
        Workshop(tmp_path, people=ENOUGH_FOR_A_TREE) as workshop,
        Consumer(broker.broker(), f"edge-reid/{SITE}/gate/hit") as consumer,
    ):
        eventually(lambda: consumer.is_subscribed)
        for number in range(kills):
            if number % 4 == 0:
                publish(workshop, broker, versions)
            life = Life(tmp_path, broker.url, workshop.public_key_path, 1 + number * TRACKS_A_LIFE)
            ours, theirs = server.Pipe()
            device = server.Process(target=live, args=(life, theirs), daemon=True)
            device.start()
            assert ours.poll(PATIENCE_S), "it is not born"
            committed.add(ours.recv())
            time.sleep(dice.uniform(0, 0.3))
            device.kill()
            device.join()
            while ours.poll():
                committed.add(ours.recv())
            if version := version_held(life, workshop, versions):
                held.append(version)
        last = Life(tmp_path, broker.url, workshop.public_key_path, 1 + kills * TRACKS_A_LIFE)
        with CameralessAgent(last) as agent:
            assert agent.uplink.publisher.flush(PATIENCE_S) == 0
            total = agent.uplink.outbox.figures.last_seq
        eventually(lambda: {it["seq"] for it in consumer.payloads("hit")} >= committed, PATIENCE_S)
        hits = consumer.payloads("hit")
    figure = of_hits("agent killed -9 during gallery sync and events", kills, total, hits)
    record(figure)
    assert (figure.lost, figure.doubled) == (0, 0)
    assert committed <= set(range(1, total + 1))
    assert len(set(held)) > kills / 8, "it was never killed between two galleries"
