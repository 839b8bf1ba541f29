"""What is worth saying only while it is new."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS
from support.mosquitto import Mosquitto

from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.passing_messages import PassingMessages
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.mqtt.message import Message

FACTS = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0)


def test_the_newest_of_a_topic_is_said_once() -> None:
    passing = PassingMessages()
    for topic, text in (("a", "old"), ("b", "other"), ("a", "new")):
        passing.put(Message(topic, text))
    assert {one.topic: one.text for one in passing.take()} == {"a": "new", "b": "other"}
    assert passing.take() == []


@pytest.mark.broker
def test_what_was_said_while_nobody_was_there_is_not_said_later(
    broker: Mosquitto, tmp_path: Path
) -> None:
    topic = ADDRESS.picture("gate")
    with Outbox(tmp_path / "outbox.db") as outbox, Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        publisher = Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS)
        publisher.pass_on(Message(topic, b"of before"))
        with publisher:
            consumer.wait_for("agents/gate-1/status")
            publisher.pass_on(Message(topic, b"now"))
            eventually(lambda: [it for it in consumer.messages if it.topic == topic] != [], 20)
        pictures = [it for it in consumer.messages if it.topic == topic]
    assert [(it.body, it.retained) for it in pictures] == [(b"now", False)]
