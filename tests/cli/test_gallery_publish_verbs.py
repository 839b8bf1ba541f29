"""`keys new`, `gallery publish`, `status` and `rollback`, as an operator uses them."""

from __future__ import annotations

import re
import stat
import time
from pathlib import Path

import pytest
from support.gallery_publisher import (
    SITE,
    Workshop,
    assert_same_people,
    in_force,
    portraits,
    take_in,
)
from support.mosquitto import Mosquitto

from edge_reid.gallery.replica import Replica
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AgentStatus, GalleryState


@pytest.fixture
def workshop(tmp_path):
    with Workshop(tmp_path) as workshop:
        yield workshop


@pytest.fixture
def key_path(workshop):
    return workshop.public_key_path.with_suffix(".key")


def test_keys_are_made_once(edge_reid, tmp_path: Path):
    made = edge_reid("keys", "new", "--out", tmp_path / "k")
    assert made.code == 0
    private = tmp_path / "k" / "gallery-signing.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert re.search(r"fingerprint [0-9a-f]{64}$", made.out)
    again = edge_reid("keys", "new", "--out", tmp_path / "k")
    assert again.code == 2
    assert "there is a key already" in again.complaint


def test_a_folder_for_a_stick(edge_reid, workshop, key_path, tmp_path):
    words = ("gallery", "publish", "--gallery", workshop.path, "--site", SITE, "--key", key_path)
    done = edge_reid(*words, "--to", workshop.out)
    assert done.code == 0, done.err
    assert f"version 1 for site {SITE}, 3 identities with 12 templates" in done.out
    assert "sent 1 of 1 blobs" in done.out
    with Replica.open(tmp_path / "device.db") as replica:
        take_in(workshop, replica)
        assert_same_people(in_force(workshop, replica), workshop.store.snapshot())


def test_what_is_piped_begins_with_a_word(edge_reid, workshop, key_path):
    """A bar that nobody sees left an empty line."""
    words = ("gallery", "publish", "--gallery", workshop.path, "--site", SITE, "--key", key_path)
    assert edge_reid(*words, "--to", workshop.out).err == ""


def test_a_key_for_releases_signs_no_gallery(edge_reid, workshop, tmp_path):
    """Devices pin another key for galleries: none of them would take it."""
    edge_reid("keys", "new", "--for", "release", "--out", tmp_path)
    words = ("gallery", "publish", "--gallery", workshop.path, "--site", SITE)
    outcome = edge_reid(*words, "--key", tmp_path / "release-signing.key", "--to", workshop.out)
    assert outcome.code == 2
    assert "expected a key for galleries, got one for releases" in outcome.complaint
    assert "edge-reid keys new --for gallery" in outcome.complaint
    assert not workshop.out.exists()


def test_one_place_at_a_time(edge_reid, workshop, key_path):
    words = ("gallery", "publish", "--gallery", workshop.path, "--site", SITE, "--key", key_path)
    for places in ((), ("--to", "x", "--broker", "mqtt://127.0.0.1")):
        refused = edge_reid(*words, *places)
        assert refused.code == 2
        assert "expected --broker URL or --to DIR, one of them" in refused.complaint


def test_back_to_the_version_before(edge_reid, workshop, tmp_path):
    device = tmp_path / "device.db"
    with Replica.open(device) as replica:
        workshop.publish()
        take_in(workshop, replica)
        workshop.store.add_all(portraits("zoe"))
        workshop.publish()
        take_in(workshop, replica)
    done = edge_reid("gallery", "rollback", "--gallery", device)
    assert done.out.strip() == f"{device}: version 1 is in force; takes the next one above 2"
    with Replica.open(device) as replica:
        assert "zoe" not in in_force(workshop, replica).identities
    assert "no such file" in edge_reid("gallery", "rollback", "--gallery", "none.db").complaint
    assert "copy of a published" in edge_reid("gallery", "list", "--gallery", device).complaint


def say(broker: Mosquitto, agent: str, gallery: GalleryState | None, state: str = "online"):
    """What an agent leaves at the broker."""
    now = rfc3339(time.time())
    status = AgentStatus(
        site=SITE,
        agent=agent,
        state=state,
        reason="connection lost" if state == "offline" else None,
        version="0",
        model_id="0",
        gallery_version=gallery.version if gallery else 0,
        gallery=gallery,
        outbox_depth=0,
        outbox_bytes=0,
        events_dropped=0,
        started_at=now,
        at=now,
    )
    connection = connect(broker.broker())
    topic = f"edge-reid/{SITE}/agents/{agent}/status"
    connection.publish(Message(topic, status.to_json(), retain=True))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


def stands(version: int, erased: int, refused: str | None = None) -> GalleryState:
    now = rfc3339(time.time() - 7200)
    return GalleryState(
        version=version,
        created_at=now,
        checked_at=now,
        source="mqtt",
        refused=refused,
        erased_through=erased,
    )


@pytest.mark.broker
def test_who_has_the_newest_and_why_others_have_not(
    edge_reid, workshop, key_path, broker, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")
    workshop.store.remove("person 1")
    words = ("--gallery", workshop.path, "--site", SITE, "--broker", broker.url)
    assert edge_reid("gallery", "publish", *words, "--key", key_path).code == 0
    say(broker, "good", stands(2, 2))
    say(broker, "behind", stands(1, 1))
    say(broker, "gone", stands(1, 1), "offline")
    say(broker, "wary", stands(1, 1, "gallery head: the signature is not of the pinned key"))
    say(broker, "alone", None)
    told = edge_reid("gallery", "status", *words, "--public-key", workshop.public_key_path)
    assert told.code == 0, told.err
    lines = {line.split()[0]: line.rstrip() for line in told.out.splitlines() if line}
    assert re.search(r"version 2 was published \d+ s ago, 2 identities with 8 templates", told.out)
    assert re.search(r"online +2 +2 h +2 h +2$", lines["good"])
    assert lines["behind"].endswith("on its way")
    assert lines["gone"].endswith("offline: connection lost")
    assert lines["wary"].endswith("the signature is not of the pinned key")
    assert lines["alone"].endswith("does not sync")
    assert re.search(
        r"version 2, [0-9a-f]{8}: confirmed by 1 of 4, not by behind, gone, wary", lines["erased"]
    )


@pytest.mark.broker
def test_nothing_published_and_something_forged(edge_reid, workshop, broker):
    words = ("gallery", "status", "--site", SITE, "--broker", broker.url)
    words = (*words, "--public-key", workshop.public_key_path)
    assert "no gallery is published on this broker" in edge_reid(*words).out
    connection = connect(broker.broker())
    connection.publish(Message(f"edge-reid/{SITE}/gallery/head", b"forged", retain=True))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()
    assert "is refused by every device: gallery head: the signature" in edge_reid(*words).out
