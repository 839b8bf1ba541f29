"""A subscriber whose broker comes and goes."""

from __future__ import annotations

import time

import pytest
from support.mosquitto import Mosquitto
from support.tcp_gate import Gate

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.subscriber import Subscriber

pytestmark = pytest.mark.broker
TOPIC = "edge-reid/lab/gate/hit"


class Turnstile(Gate):
    """Counts who comes."""

    came = 0

    def _welcome(self) -> None:
        self.came += 1
        super()._welcome()


def said(subscriber: Subscriber, timeout_s: float) -> str | None:
    """The next message's text."""
    message = subscriber.receive(timeout_s)
    return message.body.decode() if message else None


def test_a_broker_that_is_away_is_asked_less_and_less_often(broker: Mosquitto) -> None:
    connections_an_attempt = 2  # by MQTT 5 and by 3.1.1: it hangs up at both
    with Turnstile(broker.port) as gate:
        gate.is_open = False
        subscriber = Subscriber(Broker("127.0.0.1", gate.port), [TOPIC], retry_s=(0.1, 10.0))
        started_s = time.monotonic()
        for _ in range(40):
            assert said(subscriber, 0.05) is None
        waited_s = time.monotonic() - started_s
        attempts = gate.came // connections_an_attempt
        assert attempts >= 3
        # between them at the least 0.05, 0.1, 0.2, … s; at the most twice as long
        assert sum(0.05 * 2**pause for pause in range(attempts - 1)) <= waited_s
        gate.is_open = True
        while not subscriber.is_connected:
            subscriber.receive(1.0)
        subscriber.__exit__()


def test_a_subscriber_comes_back_by_itself(broker: Mosquitto) -> None:
    with Subscriber(broker.broker(), [TOPIC], retry_s=(0.05, 0.1)) as subscriber:
        broker.restart()
        deadline_s = time.monotonic() + 10
        came = None
        while came is None:
            assert time.monotonic() < deadline_s
            connection = connect(broker.broker())
            connection.publish(Message(TOPIC, "hello"))
            connection.turn(0.05)
            connection.close()
            came = said(subscriber, 0.1)
    assert came == "hello"


def test_a_broker_that_is_not_there_at_first_is_an_error(broker: Mosquitto) -> None:
    broker.stop()
    with pytest.raises(BrokerError), Subscriber(broker.broker(), [TOPIC]):
        pass
