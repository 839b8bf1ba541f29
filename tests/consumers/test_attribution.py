"""What a sink believes: an event is taken from whom its topic, its agent and its broker say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support.consumer import eventually
from support.decided_tracks import ADDRESS, STRANGER, an_event
from support.mosquitto import Mosquitto

from edge_reid.consumers.event_feed import Share
from edge_reid.consumers.mqtt_feed import MqttFeed
from edge_reid.consumers.sink import Sink
from edge_reid.consumers.sqlite_store import SqliteStore
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.connection import Connection, MqttTransport, connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.topics import Address

pytestmark = pytest.mark.broker

LAB = "edge-reid/lab"
HIT = f"{LAB}/gate/hit"
SHARE = Share("edge-reid", "lab", "archive", "a")
FACTS = AgentFacts("0123456789abcdef", 3, started_utc_s=0.0, cameras=("gate",))


@contextmanager
def a_sink(broker: Mosquitto, folder: Path, **options: Any) -> Iterator[Sink]:
    store = SqliteStore(folder / "events.db")
    with Sink(MqttFeed(broker.broker(), SHARE), store, **options) as sink:
        yield sink
    store.close()


def stats_of(sink: Sink, *, handled: int) -> tuple[int, int]:
    """How many were stored and skipped, once so many were handled."""

    def is_done() -> bool:
        sink.turn(0.05)
        return sink.stats.stored + sink.stats.skipped >= handled

    eventually(is_done)
    return sink.stats.stored, sink.stats.skipped


def say(connection: Connection, topic: str, text: str, *, retain: bool = False) -> None:
    connection.publish(Message(topic, text, retain=retain))
    while not connection.is_idle:
        connection.turn(0.1)


def event(track_id: int = 1, **changes: Any) -> str:
    """A hit of gate, with other fields."""
    return json.dumps({**json.loads(an_event(track_id).payload(track_id).to_json()), **changes})


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        (f"{LAB}/identities/hit", event(camera="identities")),
        (f"{LAB}/identities/hit", event()),
        (f"{LAB}/gallery/unknown", an_event(2, STRANGER).payload(2).to_json()),
        (f"{LAB}/door/hit", event()),
        (f"{LAB}/gate/unknown", event()),
        (HIT, an_event(2, STRANGER).payload(2).to_json()),
        (HIT, event(site="farm")),
    ],
)
def test_an_event_is_taken_on_its_own_topic_only(
    broker: Mosquitto, tmp_path: Path, topic: str, text: str
) -> None:
    with a_sink(broker, tmp_path) as sink:
        liar = connect(broker.broker())
        say(liar, topic, text)
        say(liar, HIT, event(9))
        liar.close()
        assert stats_of(sink, handled=2) == (1, 1)


def test_no_agent_speaks_for_another(broker: Mosquitto, tmp_path: Path) -> None:
    """Whoever may write for `door` cannot say there that `gate-1` has seen something."""
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS) as publisher,
        a_sink(broker, tmp_path) as sink,
    ):
        publisher.publish(an_event(1))
        assert stats_of(sink, handled=1) == (1, 0)
        liar = connect(broker.broker())
        say(liar, f"{LAB}/door/hit", event(2, camera="door"))
        liar.close()
        assert stats_of(sink, handled=2) == (1, 1)


def test_a_forged_event_takes_no_place_of_a_genuine_one(broker: Mosquitto, tmp_path: Path) -> None:
    """The same event id from another camera, in one batch: the genuine one is stored."""
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS) as publisher,
        a_sink(broker, tmp_path) as sink,
    ):
        liar = connect(broker.broker())
        eventually(lambda: publisher.state.link.value == "online")
        say(liar, f"{LAB}/door/hit", event(camera="door"))
        say(liar, HIT, event())
        liar.close()
        assert stats_of(sink, handled=2) == (1, 1)


def test_events_from_before_a_camera_was_renamed_are_taken(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.put(an_event(1))
        renamed = AgentFacts("0123456789abcdef", 3, started_utc_s=0.0, cameras=("yard",))
        with (
            a_sink(broker, tmp_path) as sink,
            Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, renamed),
        ):
            assert stats_of(sink, handled=1) == (1, 0)


def test_an_agent_that_does_not_name_its_cameras_is_believed(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """One from before 0.5 does not."""
    older = AgentFacts("0123456789abcdef", 3, started_utc_s=0.0)
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, older) as publisher,
        a_sink(broker, tmp_path) as sink,
    ):
        publisher.publish(an_event(1))
        assert stats_of(sink, handled=1) == (1, 0)


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ([("publisher", "gate-1")], (1, 0)),
        ([("publisher", "gate-1.2")], (1, 0)),
        ([("publisher", "door-1")], (0, 1)),
        ([("publisher", "gate-1"), ("publisher", "door-1")], (0, 1)),
        ([("other", "gate-1")], (0, 1)),
        ([], (0, 1)),
    ],
    ids=["its own", "its next certificate", "another", "its own word beside", "other", "nothing"],
)
def test_a_broker_that_tells_who_published_is_believed(
    broker: Mosquitto, tmp_path: Path, told: list[tuple[str, str]], outcome: tuple[int, int]
) -> None:
    with a_sink(broker, tmp_path, publisher_property="publisher") as sink:
        publish_with(broker, told)
        assert stats_of(sink, handled=1) == outcome


def publish_with(broker: Mosquitto, told: list[tuple[str, str]]) -> None:
    """A hit with user properties, as a broker passes it on that adds some."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if told:
        properties.UserProperty = told
    client.publish(HIT, event(), qos=1, properties=properties).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_other_agents_that_tell_of_a_camera_are_told(broker: Mosquitto, tmp_path: Path) -> None:
    """Two agents of different names with one camera: each says so in its status."""
    other = Address("edge-reid", "lab", "gate-2")

    def publisher(address: Address) -> Publisher:
        outbox = Outbox(tmp_path / f"{address.agent}.db")
        return Publisher(
            MqttTransport(broker.broker()), outbox, address, FACTS, status_interval_s=0.2
        )

    from support.consumer import Consumer

    from edge_reid.wire.events import CameraReport, camera_status_message

    def taken(consumer: Consumer, agent: str) -> str | None:
        statuses = consumer.payloads(f"agents/{agent}/status")
        return statuses[-1]["camera_taken"] if statuses else None

    with Consumer(broker.broker()) as consumer, publisher(ADDRESS) as one, publisher(other) as two:
        shows: list[Callable[[], None]] = [
            lambda: one.show(camera_status_message(ADDRESS, "gate", CameraReport("running"), 1.0)),
            lambda: two.show(camera_status_message(other, "gate", CameraReport("running"), 1.0)),
        ]

        def both_know() -> bool:
            for show in shows:
                show()
            return bool(taken(consumer, "gate-1") and taken(consumer, "gate-2"))

        eventually(both_know)
        said = taken(consumer, "gate-1") or ""
        assert said.startswith("camera gate: expected no other agent to report it, gate-2 does")
