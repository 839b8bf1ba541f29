"""An agent at a RabbitMQ: what works there, over its death too, and what it has not.

deploy/broker/README.md says it to people. Where a newer one can more, a test here fails.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from support.consumer import eventually
from support.decided_tracks import ADDRESS, an_event
from support.fault_figures import of_hits, record
from support.following_agent import MANIFEST, settings, taken
from support.gallery_publisher import SITE, Workshop
from support.in_process import edge_reid  # noqa: F401 - a fixture
from support.outcome import Outcome
from support.publishing import publishing
from support.rabbitmq import RabbitMq, rabbitmq
from support.sharing_device import SharingDevice, look

from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.stranger_withdrawal import StrangerWithdrawal
from edge_reid.consumers.command_client import ask, new_command
from edge_reid.consumers.event_feed import Share
from edge_reid.consumers.mqtt_feed import MqttFeed
from edge_reid.core.config.command_settings import CommandSettings
from edge_reid.core.errors import BrokerError
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import Link, Publisher
from edge_reid.mqtt.answers import OldBrokerError
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.retained import clear_topics, read_retained, read_topic
from edge_reid.transfer.gallery_transfer import gallery_at_broker
from edge_reid.wire.topics import AGENT_STATUS

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]

LAB = "edge-reid/lab"
PATIENCE_S = 120.0
RETAINED_ON_DISK_S = 4.0
"""It writes what is retained every two seconds: what came since dies with it."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """One for all tests, running, whoever has killed it."""
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


def an_agent(
    node: RabbitMq, folder: Path, **options: Any
) -> AbstractContextManager[tuple[Publisher, Outbox]]:
    return publishing(folder, node.broker_for("gate-1"), **options)


def say(node: RabbitMq, who: str, topic: str, *, retain: bool = False) -> None:
    connection = connect(node.broker_for(who))
    connection.publish(Message(topic, "x", retain=retain))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


def status(node: RabbitMq) -> dict[str, Any] | None:
    """What an agent has left at the broker, asked for by its name."""
    connection = connect(node.broker_for("desk"))
    body = read_topic(connection, ADDRESS.agent_status, grace_s=1.0)
    connection.close()
    return json.loads(body) if body else None


def test_it_is_known_by_its_certificate_and_found_to_speak_an_older_mqtt(node: RabbitMq) -> None:
    connection = connect(node.broker_for("gate-1"))
    assert connection.version is MQTTProtocolVersion.MQTTv311
    connection.close()
    with pytest.raises(BrokerError, match="Does it want another certificate"):
        connect(node.broker_for("gate-1", cert_file=None, key_file=None))


@pytest.mark.parametrize(
    ("who", "topic"),
    [
        ("gate-1", f"{LAB}/door/hit"),
        ("gate-1", f"{LAB}/identities/hit"),
        ("gate-1", "edge-reid/farm/gate/hit"),
        ("desk", f"{LAB}/gate/hit"),
        ("desk", f"{LAB}/agents/gate-1/command"),
    ],
)
def test_who_says_what_is_anothers_is_hung_up_on(node: RabbitMq, who: str, topic: str) -> None:
    with pytest.raises(BrokerError, match="hung up"):
        say(node, who, topic)


@pytest.mark.parametrize(
    ("who", "topic_filter"),
    [
        ("gate-1", f"{LAB}/agents/door-1/command"),
        ("gate-1", f"{LAB}/+/hit"),
        ("desk", f"{LAB}/gallery/head"),
        ("desk", "#"),
        ("archive", f"{LAB}/gallery/blob/+/+"),
    ],
)
def test_and_so_is_who_asks_for_it(node: RabbitMq, who: str, topic_filter: str) -> None:
    with pytest.raises(BrokerError, match="hung up"):
        connect(node.broker_for(who)).subscribe([topic_filter])


class DurableConsumer:
    """Somebody's own program: QoS 1 in a session that the broker keeps, by MQTT 3.1.1."""

    def __init__(self, node: RabbitMq) -> None:
        self.hits: list[dict[str, Any]] = []
        self.is_subscribed = False
        login = node.login("archive")
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="own-archive", clean_session=False
        )
        client.tls_set(*(str(login[name]) for name in ("ca_file", "cert_file", "key_file")))
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda *_: client.subscribe("edge-reid/+/+/hit", qos=1)
        client.on_subscribe = lambda *_: setattr(self, "is_subscribed", True)
        client.on_message = lambda *said: self.hits.append(json.loads(said[-1].payload))
        client.connect_timeout = 60.0
        client.connect("localhost", node.port)
        self._client = client

    def __enter__(self) -> DurableConsumer:
        self._client.loop_start()
        eventually(lambda: self.is_subscribed, PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.soak)])
@pytest.mark.timeout(3600)
def test_a_node_killed_loses_and_doubles_nothing(
    node: RabbitMq, tmp_path: Path, kills: int
) -> None:
    """It acknowledges what a session is to get when that is on its disk: no gate keeps the agent
    out until somebody listens, as at Mosquitto. What lies retained is on its disk, too.
    """
    events, dice = 200 * kills, random.Random(8)
    say(node, "door-1", f"{LAB}/agents/door-1/status", retain=True)
    time.sleep(RETAINED_ON_DISK_S)
    with DurableConsumer(node) as consumer, an_agent(node, tmp_path) as (publisher, _):
        producer = threading.Thread(target=_produce, args=(publisher, events))
        producer.start()
        for _ in range(kills):
            before = len(consumer.hits)
            eventually(lambda: len(consumer.hits) > before or not producer.is_alive(), PATIENCE_S)  # noqa: B023
            time.sleep(dice.uniform(0, 0.2))
            node.kill()
            node.start()
        producer.join()
        assert publisher.flush(PATIENCE_S) == 0, publisher.state
        eventually(lambda: len({hit["seq"] for hit in consumer.hits}) == events, PATIENCE_S)
        eventually(lambda: (status(node) or {}).get("state") == "online")  # said again
    record(of_hits("RabbitMQ killed -9, a session with QoS 1", kills, events, consumer.hits))
    once = {hit["event_id"]: hit["seq"] for hit in consumer.hits}
    assert sorted(once.values()) == list(range(1, events + 1))
    assert any(hit["replayed"] for hit in consumer.hits)
    of_before = f"{LAB}/agents/door-1/status"
    assert retained_topics(node, of_before) == [of_before]


def _produce(publisher: Publisher, count: int) -> None:
    for track in range(1, count + 1):
        publisher.publish(an_event(track))
        time.sleep(0.01)


def test_a_status_lies_there_by_name_and_the_will_takes_its_place(
    node: RabbitMq, tmp_path: Path
) -> None:
    with an_agent(node, tmp_path) as (publisher, _):
        eventually(lambda: publisher.state.link is Link.ONLINE, PATIENCE_S)
        assert status(node) is not None
        assert status(node)["state"] == "online"
    assert status(node)["state"] == "offline"
    will = Message(ADDRESS.agent_status, '{"state": "lost"}', retain=True)
    connect(node.broker_for("gate-1"), will=will).abort()
    eventually(lambda: status(node) == {"state": "lost"})


def test_commands_are_taken_and_answered(node: RabbitMq, tmp_path: Path) -> None:
    inbox = CommandInbox(ADDRESS, CommandSettings(allow=("reload",)))
    order, ended = new_command("reload"), threading.Event()

    def carry_out() -> None:
        while not ended.wait(0.05):
            if command := inbox.next(0):
                inbox.done(command, threshold=0.7, gallery_version=3)

    worker = threading.Thread(target=carry_out)
    with an_agent(node, tmp_path, commands=inbox) as (publisher, _):
        worker.start()
        eventually(lambda: publisher.state.link is Link.ONLINE, PATIENCE_S)
        answer = ask(node.broker_for("ops"), ADDRESS, order, timeout_s=PATIENCE_S)
        ended.set()
        worker.join()
    assert (answer.id, answer.outcome) == (order.id, "done")


def test_a_gallery_is_published_and_followed(node: RabbitMq, tmp_path: Path) -> None:
    with Workshop(tmp_path) as workshop:
        publish(node, workshop)
        ours = settings(workshop, tmp_path, url=node.url, source="mqtt", poll_s=3600)
        mqtt = ours.mqtt.model_copy(update=node.login("gate-1"))
        sync = GallerySync.open(ours.model_copy(update={"mqtt": mqtt}), MANIFEST)
        assert sync is not None
        with sync:
            assert taken(sync).identities == ("person 0", "person 1", "person 2")
            workshop.store.remove("person 1")
            publish(node, workshop)
            assert taken(sync).identities == ("person 0", "person 2")


def publish(node: RabbitMq, workshop: Workshop) -> None:
    with gallery_at_broker(node.broker_for("office"), "edge-reid", SITE) as place:
        workshop.publish(place)


def test_what_lies_retained_is_given_to_nobody_who_asks_by_a_wildcard(node: RabbitMq) -> None:
    """So `fleet` shows nobody, a release that goes in groups does not go on, and devices that share
    strangers learn of none from before.
    """
    say(node, "gate-1", ADDRESS.agent_status, retain=True)
    assert retained_topics(node, ADDRESS.agent_status) == [ADDRESS.agent_status]
    assert retained_topics(node, AGENT_STATUS.filter("edge-reid", "lab")) == []


def retained_topics(node: RabbitMq, topic_filter: str) -> list[str]:
    connection = connect(node.broker_for("desk"))
    connection.subscribe([topic_filter])
    found = [message.topic for message in read_retained(connection.receive).messages]
    connection.close()
    return found


def test_a_sink_says_that_it_cannot_read_there(node: RabbitMq) -> None:
    feed = MqttFeed(node.broker_for("archive"), Share("edge-reid", None, "sink", "a"))
    with pytest.raises(OldBrokerError, match="a sink needs MQTT 5"):
        feed.connect(print, print)


@pytest.fixture
def shared(node: RabbitMq, tmp_path: Path) -> Iterator[str]:
    """The topic of somebody of whom a device has told, and knows nothing any more."""
    with SharingDevice(tmp_path / "gate", node, "gate-1") as gate:
        name = gate.sees(look(1))
        topic = f"{LAB}/agents/gate-1/strangers/{name}"
        eventually(lambda: lies_at(node, topic), PATIENCE_S)
    yield topic
    connection = connect(node.broker_for("gate-1"))
    clear_topics(connection, [topic])
    connection.close()


def lies_at(node: RabbitMq, topic: str) -> bool:
    connection = connect(node.broker_for("ops"))
    body = read_topic(connection, topic, grace_s=1.0)
    connection.close()
    return body is not None


def test_who_shares_strangers_no_longer_takes_back_whom_it_knows_and_says_that_there_may_be_more(
    node: RabbitMq, tmp_path: Path, shared: str, caplog: pytest.LogCaptureFixture
) -> None:
    forgotten = shared.replace(shared.rpartition("/")[2], "anon-aaaaaa-7")
    say(node, "gate-1", forgotten, retain=True)
    quiet = SharingDevice(tmp_path / "gate", node, "gate-1", share=False)
    with caplog.at_level(logging.WARNING), ExitStack() as stack:
        StrangerWithdrawal.start(quiet.settings, quiet.manifest, quiet.connect(stack), stack)
        eventually(lambda: "as RabbitMQ does" in caplog.text, PATIENCE_S)
    assert "1 that are known here are taken back, and others may lie there still" in caplog.text
    assert not lies_at(node, shared)
    assert lies_at(node, forgotten)
    assert quiet.settings.heard_strangers_path.exists()  # so that the next start tries again


def test_an_erasure_of_a_site_is_not_called_done(
    node: RabbitMq,
    shared: str,
    edge_reid: Callable[..., Outcome],  # noqa: F811 - a fixture
) -> None:
    login = [f"--{key.replace('_', '-')}={path}" for key, path in node.login("ops").items()]
    words = ("gallery", "strangers", "--site", "lab", "--broker", node.url, *login)
    outcome = edge_reid(*words, "--forget-all")
    assert outcome.code == 1
    assert "done by" not in outcome.out
    assert re.search(r"erasure \w+ is ordered; but the broker shows nobody what", outcome.complaint)
    assert lies_at(node, shared)
