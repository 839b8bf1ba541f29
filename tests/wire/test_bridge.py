"""Mosquitto as a hub and two spokes, with the shipped files: what goes up, what goes down, and what
goes nowhere.
"""

from __future__ import annotations

import re
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, an_event
from support.mosquitto import mosquitto_path
from support.requirements import absent
from support.secured_broker import SecuredMosquitto
from support.spoke import Spoke
from support.verb_process import VerbProcess

from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import Delivery
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport, connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.message_transport import RefusedError
from edge_reid.mqtt.retained import read_topic

pytestmark = pytest.mark.broker

LAB, FARM = "edge-reid/lab", "edge-reid/farm"
AGENT = f"{LAB}/agents/gate-1"
FACTS = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0, cameras=("gate",))
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Campus:
    """A hub, and the brokers of two sites."""

    hub: SecuredMosquitto
    lab: Spoke
    farm: Spoke


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    if mosquitto_path() is None:
        absent("mosquitto (Debian: apt install mosquitto; macOS: brew install mosquitto)")
    hub = SecuredMosquitto(tmp_path_factory.mktemp("hub"))
    lab = Spoke(tmp_path_factory.mktemp("lab"), hub, "lab")
    farm = Spoke(tmp_path_factory.mktemp("farm"), hub, "farm")
    brokers = (hub, lab, farm)  # the hub first: its rules are written
    for broker in brokers:
        broker.start()
    wait_for_bridge(hub, lab, "gate-1", AGENT)
    wait_for_bridge(hub, farm, "barn-1", f"{FARM}/agents/barn-1")
    yield Campus(hub, lab, farm)
    for broker in brokers:
        broker.kill()


def wait_for_bridge(hub: SecuredMosquitto, spoke: Spoke, agent: str, own: str) -> None:
    """Until it passes on both ways."""
    with (
        Consumer(hub.broker_for("archive"), f"{own}/status") as up,
        Consumer(spoke.broker_for(agent), f"{own}/stored") as down,
    ):

        def passes() -> bool:
            publish(spoke.broker_for(agent), f"{own}/status")
            publish(hub.broker_for("archive"), f"{own}/stored")
            return bool(up.messages and down.messages)

        eventually(passes, PATIENCE_S)


def publish(broker: Broker, topic: str, text: str = "x", *, retain: bool = False) -> None:
    connection = connect(broker)
    connection.publish(Message(topic, text, retain=retain))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


def retained(broker: Broker, topic: str) -> bytes | None:
    """What somebody finds there who comes later."""
    connection = connect(broker)
    try:
        return read_topic(connection, topic, grace_s=0.2)
    finally:
        connection.close()


def test_a_gallery_published_at_the_hub_lies_at_its_site_and_at_no_other(campus: Campus) -> None:
    for topic in (f"{LAB}/gallery/head", f"{LAB}/gallery/blob/abc/0"):
        publish(campus.hub.broker_for("office"), topic, topic, retain=True)
        eventually(
            lambda topic=topic: retained(campus.lab.broker_for("gate-1"), topic) == topic.encode(),
            PATIENCE_S,
        )
        # at the farm's own broker somebody may read the lab's galleries, and there are none
        assert retained(campus.farm.broker_for("office"), topic) is None


def test_what_was_retained_before_a_spoke_came_is_there_when_it_has(campus: Campus) -> None:
    campus.lab.stop()
    head = f"{LAB}/gallery/head"
    publish(campus.hub.broker_for("office"), head, "new", retain=True)
    campus.lab.start()
    eventually(lambda: retained(campus.lab.broker_for("gate-1"), head) == b"new", PATIENCE_S)


def test_everything_passes_once_and_nothing_goes_round(campus: Campus) -> None:
    said = (
        (campus.lab, "gate-1", f"{LAB}/gate/hit"),
        (campus.lab, "gate-1", f"{AGENT}/result"),
        (campus.lab, "gate-1", f"{LAB}/identities/ana"),
        (campus.hub, "ops", f"{AGENT}/command"),
        (campus.hub, "archive", f"{AGENT}/stored"),
        (campus.farm, "barn-1", f"{FARM}/barn/hit"),
    )
    with (
        Consumer(campus.hub.broker_for("desk"), f"{LAB}/gate/hit", f"{LAB}/identities/+") as desk,
        Consumer(campus.hub.broker_for("ops"), f"{AGENT}/result") as ops,
        Consumer(campus.hub.broker_for("archive"), "edge-reid/+/+/hit") as archive,
        Consumer(campus.lab.broker_for("gate-1"), f"{AGENT}/command", f"{AGENT}/stored") as gate,
        Consumer(campus.lab.broker_for("desk"), f"{LAB}/+/hit", f"{LAB}/identities/+") as at_lab,
        Consumer(campus.farm.broker_for("archive"), "edge-reid/+/+/hit") as at_farm,
    ):
        for number in range(3):
            for broker, who, topic in said:
                publish(broker.broker_for(who), topic, f"{number}")
        listeners = (desk, 6), (ops, 3), (archive, 6), (gate, 6), (at_lab, 6), (at_farm, 3)
        for listener, count in listeners:
            eventually(lambda a=listener, b=count: len(a.messages) >= b, PATIENCE_S)
        publish(campus.lab.broker_for("gate-1"), f"{LAB}/gate/hit", "end")
        publish(campus.farm.broker_for("barn-1"), f"{FARM}/barn/hit", "end")
        for listener in (desk, archive, at_lab, at_farm):
            eventually(lambda a=listener: a.messages[-1].body == b"end", PATIENCE_S)
        for listener, count in listeners:
            numbers = [message.body for message in listener.messages if message.body != b"end"]
            assert len(numbers) == count
            assert sorted(numbers) == sorted([b"0", b"1", b"2"] * (count // 3))


@pytest.mark.parametrize(
    "topic",
    [
        f"{FARM}/barn/hit",
        f"{FARM}/agents/barn-1/status",
        f"{LAB}/gate/picture",
        f"{LAB}/gallery/head",
        f"{LAB}/release/head",
        f"{AGENT}/command",
        f"{AGENT}/stored",
        *(f"{LAB}/{own}/hit" for own in ("agents", "gallery", "identities", "release")),
    ],
)
def test_a_spoke_that_was_taken_over_speaks_for_its_own_devices_only(
    campus: Campus, topic: str
) -> None:
    with pytest.raises(RefusedError):
        publish(campus.hub.broker_for("lab"), topic)


def test_a_spoke_hears_nothing_of_another_site(campus: Campus) -> None:
    spy = connect(campus.hub.broker_for("lab"))
    spy.subscribe(["#"])
    for who, topic in (("ops", f"{AGENT}/command"), ("archive", f"{FARM}/agents/barn-1/stored")):
        publish(campus.hub.broker_for(who), topic)
    publish(campus.hub.broker_for("archive"), f"{AGENT}/stored")

    def topics() -> set[str]:
        spy.turn(0.05)
        return {message.topic for message in spy.received}

    eventually(lambda: f"{AGENT}/stored" in topics(), PATIENCE_S)
    assert not [topic for topic in topics() if not topic.startswith(LAB)]
    spy.close()


def test_a_will_of_a_device_at_a_spoke_is_known_at_the_hub(campus: Campus) -> None:
    will = Message(f"{AGENT}/status", "lost", retain=True)
    connect(campus.lab.broker_for("gate-1"), will=will).abort()
    desk = campus.hub.broker_for("desk")
    eventually(lambda: retained(desk, f"{AGENT}/status") == b"lost", PATIENCE_S)


def test_two_sinks_at_the_hub_share_what_devices_of_a_spoke_say_while_the_hub_comes_and_goes(
    campus: Campus, tmp_path: Path
) -> None:
    """`$share` and `delivered = "sink"` across the bridge: each event is stored once, and the word
    of the sink goes all the way back.
    """
    events, own, database = 120, campus.hub.login("archive"), tmp_path / "hits.db"
    words = (
        *("--broker", campus.hub.url, "--to", f"sqlite:///{database}"),
        *("--ca-file", own["ca_file"], "--cert-file", own["cert_file"]),
        *("--key-file", own["key_file"]),
    )
    with (
        VerbProcess("sink", *words, "--name", "one") as one,
        VerbProcess("sink", *words, "--name", "other") as other,
        Outbox(tmp_path / "outbox.db") as outbox,
    ):
        for sink in (one, other):
            wait_until_it_stores(sink)
        with Publisher(
            MqttTransport(campus.lab.broker_for("gate-1")),
            outbox,
            ADDRESS,
            FACTS,
            # twice so long, and an event is held back: sinks may take as long to find the hub again
            delivery=Delivery(by_sink=True, resend_s=20.0),
        ) as publisher:
            for track in range(1, events + 1):
                if track == events // 2:
                    campus.hub.stop()  # and what is said waits at the spoke
                publisher.publish(an_event(track))
            campus.hub.start()
            assert publisher.flush(4 * PATIENCE_S) == 0, publisher.state
        shares = [stored_by(sink) for sink in (one, other)]
    with sqlite3.connect(database) as db:
        found = db.execute("SELECT seq FROM events ORDER BY seq").fetchall()
    assert [seq for (seq,) in found] == list(range(1, events + 1))
    assert min(shares) > 0, "neither has all the work"
    assert sum(shares) == events


def wait_until_it_stores(sink: VerbProcess) -> None:
    """Until it has subscribed, as it says."""
    assert sink.process.stdout is not None
    assert any(line.startswith("storing events of") for line in sink.process.stdout)


def stored_by(sink: VerbProcess) -> int:
    """How many events a sink says that it was the first to store, once it has been stopped."""
    code, said = sink.stop(signal.SIGTERM)
    # not one of the lines that say now and then how far it is
    match = re.search(r"(\d+) events stored, \d+ were there already", said)
    assert code == 0, said
    assert match, said
    return int(match[1])
