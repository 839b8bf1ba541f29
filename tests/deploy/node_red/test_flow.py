"""The example flow, in a real Node-RED against a real broker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import an_event
from support.mosquitto import Mosquitto, free_port
from support.node_packages import node_package

from edge_reid.core.types import HitType
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.topics import AGENT_STATUS, HIT

FLOW = Path(__file__).parents[3] / "deploy" / "node-red" / "flow.json"
SETTINGS = "module.exports = { uiPort: %d, uiHost: '127.0.0.1', httpAdminRoot: false }"
NOTIFY = "notify/edge-reid"


def nodes() -> list[dict[str, Any]]:
    flow: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    return flow


def test_the_flow_hears_topics_of_the_contract_and_holds_no_secret() -> None:
    heard = {node["topic"] for node in nodes() if node["type"] == "mqtt in"}
    assert heard == {HIT.filter("edge-reid"), AGENT_STATUS.filter("edge-reid")}
    assert not any("credentials" in node for node in nodes())


def test_every_wire_ends_at_a_node() -> None:
    known = {node["id"] for node in nodes()}
    ends = {end for node in nodes() for wires in node.get("wires", ()) for end in wires}
    assert ends <= known
    assert all(node.get("broker", "edge-reid-broker") in known for node in nodes()[2:])


@pytest.fixture
def node_red(broker: Mosquitto, tmp_path: Path) -> Iterator[None]:
    """Node-RED with the flow, at our broker."""
    program = node_package("node-red") / "red.js"
    flow = [
        {**node, "port": str(broker.port)} if node["type"] == "mqtt-broker" else node
        for node in nodes()
    ]
    (tmp_path / "flows.json").write_text(json.dumps(flow))
    (tmp_path / "settings.js").write_text(SETTINGS % free_port())
    words = ["node", program, "-u", tmp_path, "-s", tmp_path / "settings.js", "flows.json"]
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL)
    yield
    process.kill()
    process.wait()


@pytest.mark.node
@pytest.mark.broker
def test_hits_and_lost_agents_come_out_in_words(broker: Mosquitto, node_red: None) -> None:
    with Consumer(broker.broker(), NOTIFY) as consumer:
        eventually(lambda: consumer.is_subscribed)
        connection = connect(broker.broker())
        new = an_event(1).payload(1)

        def is_said() -> bool:
            say(connection, an_event(1).topic, new.to_json())
            return bool(consumer.messages)

        eventually(is_said, 90.0)
        later = new.model_copy(update={"type": "later", "event_id": "of a newer agent"})
        say(connection, an_event(1).topic, later.to_json())
        end = an_event(1, type_=HitType.END)
        say(connection, end.topic, end.payload(2).to_json())
        wrong = an_event(1, type_=HitType.CORRECTION)
        say(connection, wrong.topic, wrong.payload(3).to_json())
        status = {"state": "offline", "agent": "gate-1", "site": "lab", "reason": "lost", "at": "t"}
        say(connection, AGENT_STATUS.name("edge-reid", "lab", agent="gate-1"), json.dumps(status))
        texts = [it["text"] for it in consumer.wait_for(NOTIFY, count=4)]
    texts.remove("agent gate-1 of lab is offline: lost")  # by a wire of its own, which is shorter
    assert texts == ["ana is at gate", "ana has left gate", "it was not ana at gate"]


def say(connection: Connection, topic: str, text: str) -> None:
    connection.publish(Message(topic, text))
    while not connection.is_idle:
        connection.turn(0.1)
