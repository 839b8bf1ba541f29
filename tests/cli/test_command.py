"""`edge-reid command`, where no command can be carried out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS
from support.mosquitto import Mosquitto, free_port
from support.tcp_gate import Gate

from edge_reid.core.config.command_settings import CommandSettings
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport

FACTS = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("gate-1", "reboot"), "COMMAND: expected one of snapshot, reload, sync-now, set-thresh"),
        (("gate-1", "set-threshold"), "THRESHOLD: expected a similarity from -1 to 1 for set-thr"),
        (("gate-1", "set-threshold", "2"), "THRESHOLD: expected a similarity from -1 to 1"),
        (("gate-1", "reload", "0.5"), "none for any other command, got 0.5 for reload"),
        (("gate-1", "not-this-person"), "--event: expected the event_id of a hit for not-this-p"),
        (("gate-1", "reload", "--event", "x"), "none for any other command, got x for reload"),
        (("gate-1", "reload", "--camera", "Gate 1"), "--camera: expected a name of a-z, 0-9, _"),
        (("Gate 1", "reload"), "AGENT: expected a name of a-z, 0-9, _ and -, got 'Gate 1'"),
    ],
)
def test_words_that_are_no_command(edge_reid: Any, words: tuple[str, ...], complaint: str) -> None:
    outcome = edge_reid("command", *words, "--site", "lab")
    assert outcome.code == 2
    assert complaint in outcome.complaint


def test_no_broker(edge_reid: Any) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    outcome = edge_reid("command", "gate-1", "reload", "--site", "lab", "--broker", url)
    assert outcome.code == 1
    assert url in outcome.complaint


@pytest.mark.broker
def test_an_agent_that_takes_none_or_is_gone(
    broker: Mosquitto, tmp_path: Path, edge_reid: Any
) -> None:
    words = ("command", "gate-1", "reload", "--site", "lab", "--broker", broker.url)
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS),
        Consumer(broker.broker()) as consumer,
    ):
        consumer.wait_for("status")
        outcome = edge_reid(*words)
        assert outcome.code == 1
        assert "takes no commands; name those it should in commands.allow" in outcome.complaint
    outcome = edge_reid(*words)
    assert outcome.code == 1
    assert "is offline since" in outcome.complaint
    assert ": stopped; try again later" in outcome.complaint


@pytest.mark.broker
def test_an_agent_that_was_cut_off(broker: Mosquitto, tmp_path: Path, edge_reid: Any) -> None:
    """Its last words are those that it left at the broker when it connected."""
    words = ("command", "gate-1", "reload", "--site", "lab", "--broker", broker.url)
    with (
        Gate(broker.port) as gate,
        Outbox(tmp_path / "outbox.db") as outbox,
        Consumer(broker.broker()) as consumer,
        Publisher(
            MqttTransport(Broker("127.0.0.1", gate.port, keepalive_s=1)), outbox, ADDRESS, FACTS
        ),
    ):
        consumer.wait_for("status")
        gate.is_open, gate.is_frozen = False, True
        will = consumer.wait_for("status", 2)[-1]
        outcome = edge_reid(*words)
    assert f"is lost; was connected since {will['at']}; try again later" in outcome.complaint


@pytest.mark.broker
def test_an_agent_without_an_answer(broker: Mosquitto, tmp_path: Path, edge_reid: Any) -> None:
    """Its desk takes the command, and nobody carries it out."""
    desk = CommandInbox(ADDRESS, CommandSettings(allow=("reload",)))
    words = ("command", "gate-1", "reload", "--site", "lab", "--broker", broker.url)
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS, commands=desk),
        Consumer(broker.broker()) as consumer,
    ):
        consumer.wait_for("status")
        outcome = edge_reid(*words, "--timeout", "1")
        assert outcome.code == 1
        assert "expected an answer within 1 s, got none" in outcome.complaint
        eventually(lambda: desk.next(0.1) is not None)
