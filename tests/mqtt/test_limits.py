"""What a broker says it takes is kept to, and its reasons are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, an_event
from support.mosquitto import Mosquitto, mosquitto_path
from support.raw_broker import listen, said_by_a_broker
from support.requirements import absent

from edge_reid.core.errors import BrokerError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import RefusedError, TooLargeError, UnreachableError
from edge_reid.mqtt.connection import MqttTransport, connect
from edge_reid.mqtt.limits import packet_bytes
from edge_reid.mqtt.message import Message
from edge_reid.transfer.gallery_transfer import gallery_at_broker
from edge_reid.wire.events import CameraReport, camera_status_message

FACTS = AgentFacts("0123456789abcdef", 3, started_utc_s=0.0, cameras=("gate",))

StartBroker = Callable[..., Mosquitto]


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Starts one with further lines of configuration."""
    if mosquitto_path() is None:
        absent("mosquitto (Debian: apt install mosquitto; macOS: brew install mosquitto)")
    running: list[Mosquitto] = []

    def start(*lines: str) -> Mosquitto:
        broker = Mosquitto(tmp_path)
        with broker._config.open("a") as config:
            config.write("\n".join(lines) + "\n")
        broker.start()
        running.append(broker)
        return broker

    yield start
    for broker in running:
        broker.kill()


@pytest.mark.broker
def test_a_broker_that_retains_nothing_gets_the_events(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = start_broker("retain_available false")
    with (
        Consumer(broker.broker()) as consumer,
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS) as publisher,
    ):
        publisher.show(camera_status_message(ADDRESS, "gate", CameraReport("running"), 1.0))
        publisher.publish(an_event(1))
        assert publisher.flush(10) == 0, publisher.state.reason
        consumer.wait_for("gate/hit")
        consumer.wait_for("gate/status")


@pytest.mark.broker
def test_a_gallery_is_not_published_where_nothing_is_retained(start_broker: StartBroker) -> None:
    broker = start_broker("retain_available false")
    expected = "retains nothing, so a gallery would be lost at once; turn retained messages on"
    with (
        pytest.raises(RefusedError, match=expected),
        gallery_at_broker(broker.broker(), "edge-reid", "lab") as target,
    ):
        target.head()


@pytest.mark.broker
def test_a_broker_without_qos_1_is_refused_in_a_line(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = start_broker("max_qos 0")
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS) as publisher,
    ):
        state = publisher.wait_settled(10)
    assert "takes QoS 0 only, which confirms nothing" in state.reason
    assert "let QoS 1 in there" in state.reason


@pytest.mark.broker
def test_a_message_larger_than_the_broker_takes_is_not_sent(start_broker: StartBroker) -> None:
    broker = start_broker("max_packet_size 8192")
    connection = connect(broker.broker())
    fitting = Message("a", "x" * 8100)
    expected = "takes 8,192 bytes at most, the message on a has 9,009; raise its largest packet"
    with pytest.raises(TooLargeError, match=expected):
        connection.publish(Message("a", "x" * 9000))
    connection.publish(fitting)
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


@pytest.mark.broker
def test_a_message_of_just_that_size_is(start_broker: StartBroker) -> None:
    """And one of a byte more is what Mosquitto would hang up at."""
    broker = start_broker("max_packet_size 8192")
    body = 8192
    while packet_bytes(Message("a", "x" * body)) > 8192:
        body -= 1
    connection = connect(broker.broker())
    connection.publish(Message("a", "x" * body))
    while not connection.is_idle:
        connection.turn(0.1)
    with pytest.raises(TooLargeError):
        connection.publish(Message("a", "x" * (body + 1)))
    connection.close()


@pytest.mark.broker
def test_what_a_broker_finds_too_large_it_says(start_broker: StartBroker) -> None:
    """A limit that is not told in advance."""
    broker = start_broker("message_size_limit 5000")
    connection = connect(broker.broker())
    connection.publish(Message("a", "x" * 6000))
    with pytest.raises(BrokerError, match="a message of 6,009 bytes was on its way"):
        listen(connection)


def disconnect(reason: int, words: str = "") -> bytes:
    said = b"\x1f" + len(words).to_bytes(2, "big") + words.encode() if words else b""
    return bytes([0xE0, 2 + len(said), reason, len(said)]) + said


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [
        (disconnect(0x8E), UnreachableError, "somebody else took our client id"),
        (disconnect(0x8B), UnreachableError, "Server shutting down; it is being stopped"),
        (disconnect(0x95), RefusedError, "Packet too large; raise its largest packet"),
        (disconnect(0x97), UnreachableError, "Quota exceeded; raise this client.s quota"),
        (disconnect(0x9B), RefusedError, "QoS not supported; let QoS 1 in"),
        (disconnect(0x87), RefusedError, "Not authorized; check what this login may do"),
        (disconnect(0x98, "maintenance\x1b[2J"), UnreachableError, r"maintenance\\x1b"),
    ],
)
def test_why_a_broker_ends_a_connection_is_told(
    said: bytes, kind: type[BrokerError], reason: str
) -> None:
    with said_by_a_broker(said) as connection, pytest.raises(kind, match=reason):
        listen(connection)


def test_the_keep_alive_of_the_broker_is_kept() -> None:
    """It asks for a sign of life every second, where we had thought of 30."""
    heard: list[bytes] = []
    with said_by_a_broker(b"", connack=bytes([0x20, 6, 0, 0, 3, 0x13, 0, 1]), heard=heard) as link:

        def has_pinged() -> bool:
            link.turn(0.05)
            return b"\xc0\x00" in heard

        began_s = time.monotonic()
        eventually(has_pinged)
        assert time.monotonic() - began_s < 8
