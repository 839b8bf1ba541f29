"""What an agent has to say goes out by any transport that offers what `delivery` asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, an_event
from support.memory_transport import MemoryTransport

from edge_reid.core.config.command_settings import CommandSettings
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.name_guard import STANDBY_S
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import Delivery
from edge_reid.delivery.publisher import AgentFacts, Link, Publisher
from edge_reid.mqtt.message import Message
from edge_reid.wire.commands import Command
from edge_reid.wire.events import CameraReport, camera_status_message, rfc3339
from edge_reid.wire.payloads import EventsStored

FACTS = AgentFacts("0123456789abcdef", gallery_version=3, started_utc_s=0.0, cameras=("gate",))
NOW = 1_772_000_000.0


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db") as opened:
        yield opened


def said_on(transport: MemoryTransport, topic: str) -> list[dict[str, object]]:
    return [json.loads(it.text) for it in transport.published if it.topic == topic and it.text]


def test_events_states_and_the_last_word_go_out(outbox: Outbox) -> None:
    transport = MemoryTransport()
    with Publisher(transport, outbox, ADDRESS, FACTS) as publisher:
        publisher.show(camera_status_message(ADDRESS, "gate", CameraReport("running"), NOW))
        for track in (1, 2, 3):
            publisher.publish(an_event(track))
        assert publisher.flush(5) == 0
        assert publisher.state.link is Link.ONLINE
    assert [hit["seq"] for hit in said_on(transport, ADDRESS.hits("gate"))] == [1, 2, 3]
    assert len(said_on(transport, ADDRESS.camera_status("gate"))) == 1
    states = [status["state"] for status in said_on(transport, ADDRESS.agent_status)]
    assert (states[0], states[-1]) == ("online", "offline")


def test_a_sink_confirms_and_a_command_is_heard(outbox: Outbox) -> None:
    transport = MemoryTransport()
    commands = CommandInbox(ADDRESS, CommandSettings(allow=("reload",)), clock=lambda: NOW)
    with Publisher(
        transport, outbox, ADDRESS, FACTS, delivery=Delivery(by_sink=True), commands=commands
    ) as publisher:
        publisher.publish(an_event(1))
        eventually(lambda: bool(said_on(transport, ADDRESS.hits("gate"))))
        assert outbox.figures.depth == 1, "the broker's word is not enough"
        (hit,) = said_on(transport, ADDRESS.hits("gate"))
        stored = EventsStored(site="lab", agent="gate-1", event_ids=(str(hit["event_id"]),))
        transport.publish(Message(ADDRESS.agent_stored, stored.to_json()))
        eventually(lambda: outbox.figures.depth == 0)
        asked = Command(id="c-1", command="reload", issued_at=rfc3339(NOW))
        transport.publish(Message(ADDRESS.agent_command, asked.to_json()))
        taken = commands.next(5)
        assert taken == asked
        commands.done(asked)
        eventually(lambda: bool(said_on(transport, ADDRESS.agent_result)))
    (result,) = said_on(transport, ADDRESS.agent_result)
    assert (result["id"], result["outcome"]) == ("c-1", "done")


def test_the_second_of_a_name_stays_away_and_says_so(outbox: Outbox, tmp_path: Path) -> None:
    transport = MemoryTransport()
    with (
        Publisher(transport, outbox, ADDRESS, FACTS) as first,
        Outbox(tmp_path / "other.db") as other,
    ):
        assert first.wait_settled(5).link is Link.ONLINE
        eventually(lambda: bool(said_on(transport, ADDRESS.agent_status)))
        with Publisher(transport, other, ADDRESS, FACTS) as second:
            assert second.wait_settled(5).link is Link.NAME_TAKEN
        assert len(said_on(transport, ADDRESS.agent_duplicate)) == 1
        (said,) = (it for it in transport.published if it.topic == ADDRESS.agent_duplicate)
        assert said.retain
        assert said.expiry_s is not None
        assert said.expiry_s > 2 * STANDBY_S, "it lasts until the next look, and one that fails"
        assert first.state.link is Link.ONLINE
