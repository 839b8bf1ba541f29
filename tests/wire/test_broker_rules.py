"""The shipped broker configuration and access rules, tried from the outside."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, an_event
from support.secured_broker import SecuredMosquitto, certs, secured_mosquitto

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import BrokerError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import Broker, RefusedError
from edge_reid.mqtt.connection import Connection, MqttTransport, Received, connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.topics import CAMERA_LEVELS

pytestmark = pytest.mark.broker

LAB = "edge-reid/lab"
AGENT = f"{LAB}/agents/gate-1"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredMosquitto]:
    with secured_mosquitto(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


def publish(connection: Connection, topic: str, text: str = "x", *, retain: bool = False) -> None:
    """Publish, and wait for the broker's word."""
    connection.publish(Message(topic, text, retain=retain))
    while not connection.is_idle:
        connection.turn(0.1)


def may_publish(broker: Broker, topic: str) -> bool:
    connection = connect(broker)
    try:
        publish(connection, topic)
    except RefusedError:
        return False
    connection.close()
    return True


@pytest.mark.parametrize(
    ("who", "topic"),
    [
        ("gate-1", f"{LAB}/gate/hit"),
        ("gate-1", f"{LAB}/gate/unknown"),
        ("gate-1", f"{LAB}/gate/zone"),
        ("gate-1", f"{LAB}/gate/status"),
        ("gate-1", f"{LAB}/gate/picture"),
        *(
            ("yard-1", f"{LAB}/{own}/{end}")
            for own in ("yard", "pond")
            for end in ("hit", "status")
        ),
        ("gate-1", f"{AGENT}/status"),
        ("gate-1", f"{AGENT}/result"),
        ("gate-1", f"{LAB}/identities/ana"),
        ("office", f"{LAB}/gallery/head"),
        ("office", f"{LAB}/gallery/blob/abc/0"),
        ("ops", f"{AGENT}/command"),
        ("ops", f"{AGENT}/status"),
        ("ops", f"{LAB}/gate/status"),
        ("gate-1", f"{AGENT}/update"),
        ("gate-1", f"{AGENT}/strangers/anon-3fa2c1-12"),
        ("ops", f"{AGENT}/strangers/anon-3fa2c1-12"),
        ("ops", f"{LAB}/agents/erasures"),
        ("depot", f"{LAB}/release/head"),
        ("archive", f"{AGENT}/stored"),
        ("archive", "edge-reid/farm/agents/barn-1/stored"),
    ],
)
def test_everybody_may_say_what_is_theirs(secured: SecuredMosquitto, who: str, topic: str) -> None:
    assert may_publish(secured.broker_for(who), topic)


@pytest.mark.parametrize(
    ("who", "topic"),
    [
        ("gate-1", f"{LAB}/door/hit"),
        ("gate-1", f"{LAB}/door/status"),
        ("gate-1", f"{LAB}/pond/hit"),
        ("yard-1", f"{LAB}/gate/hit"),
        ("gate-1", f"{LAB}/agents/door-1/status"),
        ("gate-1", f"{LAB}/agents/door-1/command"),
        ("gate-1", f"{AGENT}/command"),
        ("gate-1", f"{AGENT}/stored"),
        ("gate-1", f"{LAB}/gallery/head"),
        ("gate-1", f"{LAB}/release/head"),
        ("gate-1", f"{LAB}/agents/door-1/update"),
        ("gate-1", f"{LAB}/agents/door-1/strangers/anon-3fa2c1-12"),
        ("gate-1", f"{LAB}/agents/erasures"),
        ("gate-1", "edge-reid/farm/agents/gate-1/strangers/anon-3fa2c1-12"),
        ("desk", f"{AGENT}/strangers/anon-3fa2c1-12"),
        ("office", f"{LAB}/agents/erasures"),
        ("office", f"{LAB}/release/head"),
        ("depot", f"{AGENT}/update"),
        ("depot", f"{LAB}/gallery/head"),
        ("depot", "edge-reid/farm/release/head"),
        ("gate-1", f"{LAB}/gallery/blob/abc/0"),
        ("gate-1", "edge-reid/farm/gate/hit"),
        ("gate-1", "edge-reid/farm/gallery/head"),
        ("gate-1", "anything"),
        ("barn-1", f"{LAB}/barn/hit"),
        ("desk", f"{LAB}/gate/hit"),
        ("desk", f"{LAB}/gallery/head"),
        ("archive", f"{LAB}/gate/hit"),
        ("archive", f"{LAB}/gate/zone"),
        ("door-1", f"{LAB}/gate/zone"),
        ("office", f"{LAB}/gate/hit"),
        ("office", "edge-reid/farm/gallery/head"),
        ("office", f"{AGENT}/command"),
        ("ops", f"{LAB}/gallery/head"),
        ("ops", f"{AGENT}/result"),
        ("ops", "edge-reid/farm/agents/barn-1/command"),
        ("desk", f"{AGENT}/command"),
        ("archive", f"{AGENT}/command"),
        ("door-1", f"{AGENT}/command"),
        ("door-1", f"{AGENT}/result"),
        *(("gate-1", f"{LAB}/identities/{level}") for level in CAMERA_LEVELS),
        *(("office", f"{LAB}/identities/{level}") for level in CAMERA_LEVELS),
        *(("office", f"{LAB}/gallery/{level}") for level in CAMERA_LEVELS),
        ("depot", f"{LAB}/release/hit"),
    ],
)
def test_nobody_may_say_what_is_anothers(secured: SecuredMosquitto, who: str, topic: str) -> None:
    assert not may_publish(secured.broker_for(who), topic)


def heard(secured: SecuredMosquitto, who: str, expected: set[str]) -> set[str]:
    """Topics that somebody who subscribes to everything hears while others say what is `SAID`."""
    listener = connect(secured.broker_for(who))
    listener.subscribe(["#", f"{AGENT}/command", f"{LAB}/gallery/#", f"{LAB}/+/hit"])
    listener.received.clear()  # what is retained there from before
    for speaker, topic in SAID:
        connection = connect(secured.broker_for(speaker))
        publish(connection, topic)
        connection.close()

    def topics() -> set[str]:
        listener.turn(0.05)
        return {message.topic for message in listener.received}

    eventually(lambda: expected <= topics())
    for _ in range(5):  # and what else there might be
        topics()
    all_topics = topics()
    listener.close()
    return all_topics


STRANGERS = (f"{AGENT}/strangers/anon-3fa2c1-12", f"{LAB}/agents/erasures")
"""What devices that share them hear, and a commander; no reader, and nobody of another site."""
SAID = (
    ("gate-1", f"{LAB}/gate/hit"),
    ("gate-1", f"{AGENT}/status"),
    ("ops", f"{AGENT}/command"),
    ("gate-1", f"{AGENT}/result"),
    ("ops", f"{LAB}/agents/door-1/command"),
    ("archive", f"{AGENT}/stored"),
    ("office", f"{LAB}/gallery/head"),
    ("barn-1", "edge-reid/farm/barn/hit"),
    ("gate-1", f"{AGENT}/strangers/anon-3fa2c1-12"),
    ("ops", f"{LAB}/agents/erasures"),
)


@pytest.mark.parametrize(
    ("who", "hears"),
    [
        (
            "gate-1",
            {
                *(f"{AGENT}/status", f"{AGENT}/command", f"{AGENT}/stored"),
                *(f"{LAB}/gallery/head", *STRANGERS),
            },
        ),
        ("door-1", {f"{LAB}/agents/door-1/command", f"{LAB}/gallery/head", *STRANGERS}),
        ("barn-1", set()),
        ("desk", {f"{LAB}/gate/hit", f"{AGENT}/status"}),
        ("ops", {f"{AGENT}/status", f"{AGENT}/result", *STRANGERS}),
        ("archive", {f"{LAB}/gate/hit", "edge-reid/farm/barn/hit", f"{AGENT}/status"}),
    ],
)
def test_everybody_hears_what_is_for_them_and_no_more(
    secured: SecuredMosquitto, who: str, hears: set[str]
) -> None:
    assert heard(secured, who, hears) == hears


def test_nobody_comes_in_without_a_certificate(secured: SecuredMosquitto) -> None:
    settings = MqttSettings(url=secured.url, ca_file=secured.pki / "ca.crt")
    with pytest.raises(BrokerError, match="Does it want another certificate"):
        connect(Broker.from_settings(settings))


def test_nor_with_one_of_another_ca(secured: SecuredMosquitto, tmp_path: Path) -> None:
    stranger = SecuredMosquitto(tmp_path)  # its own CA, and a gate-1 of its own
    settings = {"url": secured.url, **stranger.login("gate-1"), "ca_file": secured.pki / "ca.crt"}
    with pytest.raises(BrokerError, match="Does it want another certificate"):
        connect(Broker.from_settings(MqttSettings.model_validate(settings)))


def test_nor_in_plaintext(secured: SecuredMosquitto) -> None:
    with pytest.raises(BrokerError):
        connect(Broker("127.0.0.1", secured.port))


def test_a_broker_of_another_ca_is_not_trusted(secured: SecuredMosquitto, tmp_path: Path) -> None:
    stranger = SecuredMosquitto(tmp_path)
    settings = {"url": secured.url, **stranger.login("gate-1")}
    with pytest.raises(RefusedError, match="not to be trusted"):
        connect(Broker.from_settings(MqttSettings.model_validate(settings)))


def test_a_clients_certificate_makes_no_broker(tmp_path: Path) -> None:
    """Who steals a device cannot pose as the broker with what is on it."""
    posing = SecuredMosquitto(tmp_path)
    config = posing._config.read_text()
    for kind in ("crt", "key"):
        config = config.replace(
            str(posing.pki / f"server.{kind}"), str(posing.login("gate-1")["cert_file"])[:-3] + kind
        )
    posing._config.write_text(config)
    posing.start()
    try:
        with pytest.raises(RefusedError, match="not to be trusted"):
            connect(posing.broker_for("door-1"))
    finally:
        posing.kill()


def test_an_agent_does_its_work_behind_these_rules(
    secured: SecuredMosquitto, tmp_path: Path
) -> None:
    facts = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0)
    desk = connect(secured.broker_for("desk"))
    desk.subscribe([f"{LAB}/+/hit", f"{LAB}/identities/+", f"{LAB}/agents/+/status"])

    def told() -> list[Received]:
        desk.turn(0.05)
        return [it for it in desk.received if it.topic == f"{LAB}/gate/hit"]

    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(secured.broker_for("gate-1")), outbox, ADDRESS, facts) as publisher,
    ):
        publisher.publish(an_event(1))
        assert publisher.flush(10) == 0
        eventually(lambda: len(told()) == 1)
    desk.close()


def test_a_removed_device_can_do_nothing_more(tmp_path: Path) -> None:
    """A reload is enough, as the README says."""
    with secured_mosquitto(tmp_path) as broker:
        stolen = broker.broker_for("gate-1")
        assert may_publish(stolen, f"{LAB}/gate/hit")
        assert certs(broker.pki, "remove gate-1")[0] == 0
        broker.reload()
        eventually(lambda: not may_publish(stolen, f"{LAB}/gate/hit"))
    code, _, complaint = certs(broker.pki, "agent gate-1 --site lab --camera gate")
    assert code == 1
    assert "was removed, and its old certificate may still be about" in complaint


def test_one_agent_speaks_for_all_its_cameras_also_before_those_of_before_are_removed(
    tmp_path: Path,
) -> None:
    with secured_mosquitto(tmp_path) as broker:
        new = "agent hall-1 --site lab --camera door --camera gate"
        assert certs(broker.pki, f"{new} --instead-of door-1 --instead-of gate-1")[0] == 0
        door, hall = broker.broker_for("door-1"), broker.broker_for("hall-1")
        broker.restart()
        for topic in ("gate/hit", "door/unknown", "door/status", "agents/hall-1/status"):
            assert may_publish(hall, f"{LAB}/{topic}")
        assert may_publish(door, f"{LAB}/door/hit")
        assert not may_publish(door, f"{LAB}/agents/hall-1/status")
        assert not may_publish(hall, f"{LAB}/agents/door-1/status")
        assert certs(broker.pki, "remove door-1")[0] == 0
        broker.reload()
        eventually(lambda: not may_publish(door, f"{LAB}/door/hit"))
        assert may_publish(hall, f"{LAB}/door/hit")


def test_an_old_certificate_gets_none_of_the_rights_of_the_next_one(tmp_path: Path) -> None:
    """Its holder moves to another site. Who has kept the old pair can do nothing, here or there."""
    with secured_mosquitto(tmp_path) as broker:
        old = broker.broker_for("gate-1")
        assert certs(broker.pki, "agent gate-1 --site farm --camera shed")[0] == 0
        broker.reload()
        eventually(lambda: not may_publish(old, f"{LAB}/gate/hit"))
        assert not may_publish(old, "edge-reid/farm/shed/hit")
        new = broker.broker_for("gate-1")
        assert may_publish(new, "edge-reid/farm/shed/hit")
        assert may_publish(new, "edge-reid/farm/agents/gate-1/status")
        assert not may_publish(new, f"{LAB}/gate/hit")


def test_a_renewed_server_certificate_is_shown_after_a_reload(tmp_path: Path) -> None:
    with secured_mosquitto(tmp_path) as broker:
        before = shown_by(broker)
        assert certs(broker.pki, "renew --within-days 800")[0] == 0
        broker.reload()
        eventually(lambda: shown_by(broker) != before)


def shown_by(broker: SecuredMosquitto) -> bytes | None:
    """The certificate that it shows to clients."""
    context = broker.broker_for("desk").tls
    assert context is not None
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as link,
        context.wrap_socket(link, server_hostname="localhost") as tls,
    ):
        return tls.getpeercert(binary_form=True)
