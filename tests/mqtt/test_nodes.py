"""A broker of several nodes, and the version of MQTT that it is said to speak."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from support.mosquitto import Mosquitto, free_port

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import ConfigError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message_transport import RefusedError, UnreachableError


def broker_at(*ports: int, **settings: object) -> Broker:
    url = "mqtt://" + ",".join(f"127.0.0.1:{port}" for port in ports)
    return Broker.from_settings(MqttSettings.model_validate({"url": url, **settings}))


@pytest.mark.broker
def test_the_first_node_that_answers_is_taken(broker: Mosquitto) -> None:
    connect(broker_at(free_port(), free_port(), broker.port)).close()


def test_a_fleet_begins_with_any_node() -> None:
    broker = broker_at(1, 2, 3, username="gate")
    orders = [broker.shuffled for _ in range(200)]
    assert {order.port for order in orders} == {1, 2, 3}
    assert all(sorted(node.port for node in order.nodes) == [1, 2, 3] for order in orders)
    assert {order.username for order in orders} == {"gate"}
    assert str(broker) == "mqtt://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"


def test_where_none_answers_all_are_counted() -> None:
    dead = free_port(), free_port()
    with pytest.raises(UnreachableError, match="none of 2 nodes is there; the last: ") as caught:
        connect(broker_at(*dead))
    assert f"127.0.0.1:{dead[1]}" in str(caught.value)


@pytest.mark.broker
def test_a_node_that_refuses_us_speaks_for_all(make_broker: Callable[..., Mosquitto]) -> None:
    closed, opened = make_broker(login=("gate", "secret")), make_broker()
    with pytest.raises(RefusedError, match=f"127.0.0.1:{closed.port}: refuses us"):
        connect(broker_at(closed.port, opened.port))


@pytest.mark.broker
@pytest.mark.parametrize(
    ("protocol", "spoken"),
    [
        ("auto", MQTTProtocolVersion.MQTTv5),
        ("5", MQTTProtocolVersion.MQTTv5),
        ("3.1.1", MQTTProtocolVersion.MQTTv311),
    ],
)
def test_the_version_is_the_one_that_is_set(
    broker: Mosquitto, protocol: str, spoken: MQTTProtocolVersion
) -> None:
    connection = connect(broker_at(broker.port, protocol=protocol))
    assert connection.version is spoken
    connection.close()


def test_one_node_in_plaintext_over_the_network_is_one_too_many(tmp_path: Path) -> None:
    settings = MqttSettings(url="mqtt://127.0.0.1,192.0.2.7")
    with pytest.raises(ConfigError, match="plaintext over the network; use mqtts://"):
        Broker.from_settings(settings)


def test_it_is_shown_with_all_its_nodes() -> None:
    broker = Broker.from_settings(MqttSettings(url="mqtts://a:1,[::1]"))
    assert str(broker) == "mqtts://a:1,[::1]:8883"
    assert [str(node) for node in broker.nodes] == ["mqtts://a:1", "mqtts://[::1]:8883"]
