"""When Home Assistant is told of an agent and of people, and when people are taken away again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, ANA, a_hit, an_event
from support.mosquitto import Mosquitto
from support.secured_broker import secured_mosquitto

from edge_reid.core.types import Known
from edge_reid.delivery.announcements import Announcements
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport, connect
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.subscriber import Subscriber
from edge_reid.wire.events import Event
from edge_reid.wire.home_assistant import HomeAssistant

FACTS = AgentFacts("0123456789abcdef", 3, started_utc_s=0.0, cameras=("gate",))
OURS = HomeAssistant("homeassistant", ADDRESS, ("gate",))
BIRTH = Received("homeassistant/status", b"online", retained=False)
ZOE = Known("zoe", 0.9, 0.6, 0.3, 5)


def topics(messages: list[Message]) -> list[str]:
    return [message.topic for message in messages]


def test_everything_is_said_at_every_connection_and_at_a_birth() -> None:
    now_s = 0.0
    ours = Announcements(OURS, clock=lambda: now_s)
    everything = [OURS.agent(), OURS.person("ana")]
    assert ours.take_due({"ana"}) == everything
    assert ours.take_due({"ana"}) == []
    assert ours.take_person("ana") is None
    assert ours.take_person("zoe") == OURS.person("zoe")
    ours.begin_anew()
    assert ours.take_due({"ana"}) == everything
    ours.hear(BIRTH)
    assert ours.take_due({"ana"}) == everything
    now_s = 1.0
    ours.hear(BIRTH)
    assert ours.take_due({"ana"}) == [], "whoever is born every second is answered now and then"
    now_s = 6.0
    for said in (b"offline", b""):
        ours.hear(Received(BIRTH.topic, said, retained=False))
    ours.hear(Received(BIRTH.topic, b"online", retained=True))
    assert ours.take_due({"ana"}) == [], "what lies there is no birth"
    ours.hear(BIRTH)
    assert ours.take_due({"ana"}) == everything


@contextmanager
def an_agent(broker: Broker, folder: Path) -> Iterator[Publisher]:
    with (
        Outbox(folder / "outbox.db") as outbox,
        Publisher(
            MqttTransport(broker), outbox, ADDRESS, FACTS, announcements=Announcements(OURS)
        ) as publisher,
    ):
        yield publisher


def retained(broker: Broker) -> dict[str, bytes]:
    """What lies at the broker of Home Assistant's."""
    with Subscriber(broker, ["homeassistant/#"]) as newcomer:
        found = {}
        while message := newcomer.receive(0.3):
            found[message.topic] = message.body
        return found


@pytest.mark.broker
def test_people_are_announced_with_their_state_and_taken_away_with_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    agent, ana, zoe = OURS.agent(), OURS.person("ana"), OURS.person("zoe")
    with Consumer(broker.broker()) as consumer, an_agent(broker.broker(), tmp_path) as publisher:
        publisher.publish(an_event(1))
        publisher.publish(an_event(2, ZOE))
        assert publisher.flush(10) == 0
        assert retained(broker.broker()).keys() == set(topics([agent, ana, zoe]))
        came = [it.topic for it in consumer.messages]
        assert came.index(ana.topic) < came.index(ADDRESS.identity("ana"))
        publisher.retract((), {"zoe"})
        eventually(lambda: publisher.has_retracted)
        assert retained(broker.broker()).keys() == set(topics([agent, zoe]))
    with an_agent(broker.broker(), tmp_path) as publisher:
        eventually(lambda: publisher.state.link.value == "online")
        publisher.retract((), set())
        eventually(lambda: publisher.has_retracted)
        assert retained(broker.broker()).keys() == {agent.topic}


@pytest.mark.broker
def test_a_birth_is_answered_with_all_there_is(broker: Mosquitto, tmp_path: Path) -> None:
    with an_agent(broker.broker(), tmp_path) as publisher:
        publisher.publish(an_event(1))
        assert publisher.flush(10) == 0
        with Consumer(broker.broker(), "homeassistant/device/#") as consumer:
            eventually(lambda: len(consumer.messages) == 2)  # what lay there
            connection = connect(broker.broker())
            connection.publish(Message(BIRTH.topic, "online"))
            eventually(lambda: not connection.turn(0.05) and len(consumer.messages) == 4)
    everything = topics([OURS.agent(), OURS.person("ana")])
    assert {it.topic for it in consumer.messages[2:]} == set(everything)


@pytest.mark.broker
def test_the_access_rules_let_an_agent_announce_and_hear_a_birth(tmp_path: Path) -> None:
    with (
        secured_mosquitto(tmp_path) as secured,
        Consumer(secured.broker_for("desk"), "homeassistant/device/+/+/config") as desk,
        an_agent(secured.broker_for("gate-1"), tmp_path) as publisher,
    ):
        publisher.publish(Event(a_hit(1, ANA), an_event(1).origin))
        assert publisher.flush(20) == 0, publisher.state
        assert not publisher.state.reason
        eventually(lambda: len(desk.messages) == 2)
        connection = connect(secured.broker_for("desk"))
        connection.publish(Message(BIRTH.topic, "online"))
        eventually(lambda: not connection.turn(0.05) and len(desk.messages) == 4)
        names = [json.loads(it.body)["device"]["name"] for it in desk.messages]
        assert sorted(set(names)) == ["ana", "gate-1"]
