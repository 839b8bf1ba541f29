"""A broker that speaks MQTT 3.1.1 only: amqtt, in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from support.consumer import eventually
from support.decided_tracks import ADDRESS, an_event
from support.mosquitto import free_port
from support.requirements import absent

from edge_reid.core.errors import BrokerError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport, connect
from edge_reid.mqtt.subscriber import Subscriber


@pytest.fixture
def old_broker(tmp_path: Path) -> Iterator[Broker]:
    if importlib.util.find_spec("amqtt") is None:
        absent("amqtt (pip install amqtt)")
    broker = Broker("127.0.0.1", free_port())
    config = tmp_path / "amqtt.yaml"
    config.write_text(
        f"listeners: {{default: {{type: tcp, bind: '127.0.0.1:{broker.port}'}}}}\n"
        "plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}}\n"
    )
    code = "from amqtt.scripts.broker_script import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: _answers(broker), timeout_s=30)
    yield broker
    process.kill()
    process.wait()


def _answers(broker: Broker) -> bool:
    try:
        connect(broker).close()
    except BrokerError:
        time.sleep(0.1)
        return False
    return True


def test_we_speak_3_1_1_to_it(old_broker: Broker, tmp_path: Path) -> None:
    connection = connect(old_broker)
    assert connection.version is MQTTProtocolVersion.MQTTv311
    connection.close()

    facts = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0)
    with (
        Subscriber(old_broker, [an_event().topic]) as subscriber,
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(old_broker), outbox, ADDRESS, facts) as publisher,
    ):
        publisher.wait_settled(5)
        publisher.publish(an_event(1))
        assert publisher.flush(10) == 0
        message = subscriber.receive(5)
    assert message is not None
    assert message.body.decode() == an_event(1).payload(1).to_json()
