"""What `identities/<identity>` says at the broker, and when it says nothing any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, ORIGIN, STRANGER, a_hit, an_event
from support.mosquitto import Mosquitto
from support.tcp_gate import Gate

from edge_reid.core.types import HitType
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Link, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.mqtt.subscriber import Subscriber
from edge_reid.wire.events import Event
from edge_reid.wire.topics import Address

pytestmark = pytest.mark.broker

FACTS = AgentFacts(model_id="0123456789abcdef", gallery_version=3, started_utc_s=100.0)
OTHER = Address("edge-reid", "lab", "yard-1")
NOBODY: frozenset[str] = frozenset()


@contextmanager
def an_agent(
    folder: Path, broker: Broker, address: Address = ADDRESS
) -> Iterator[tuple[Publisher, Outbox]]:
    with (
        Outbox(folder / f"{address.agent}.db") as outbox,
        Publisher(MqttTransport(broker), outbox, address, FACTS, retry_s=(0.02, 0.1)) as publisher,
    ):
        yield publisher, outbox


def state_of_ana(broker: Mosquitto) -> dict[str, Any] | None:
    """What a newcomer gets to know."""
    with Subscriber(broker.broker(), [ADDRESS.identity("ana")]) as newcomer:
        message = newcomer.receive(0.5)
    return json.loads(message.body) if message and message.body else None


def tell_by_another_agent(folder: Path, broker: Mosquitto) -> None:
    with an_agent(folder, broker.broker(), OTHER) as (other, _):
        other.publish(Event(a_hit(7), replace(ORIGIN, address=OTHER, camera="yard")))
        assert other.flush(10) == 0


def lose_connection(gate: Gate, publisher: Publisher) -> None:
    gate.is_open = False
    gate.hang_up()
    eventually(lambda: publisher.state.link is Link.UNREACHABLE)


def come_back(gate: Gate, publisher: Publisher) -> None:
    gate.is_open = True
    eventually(lambda: publisher.state.link is Link.ONLINE)


@pytest.fixture
def gate(broker: Mosquitto) -> Iterator[Gate]:
    with Gate(broker.port) as opened:
        yield opened


class TestTelling:
    def test_the_end_of_a_track_does_not_hide_the_better_one_that_goes_on(
        self, broker: Mosquitto, gate: Gate, tmp_path: Path
    ) -> None:
        """The tracker has lost ana for a moment: track 1 ends while she is followed as 2."""
        with an_agent(tmp_path, Broker("127.0.0.1", gate.port)) as (publisher, _):
            publisher.publish(an_event(1))
            publisher.publish(an_event(2))
            assert publisher.flush(10) == 0
            lose_connection(gate, publisher)
            publisher.publish(an_event(1, type_=HitType.END))
            come_back(gate, publisher)
            assert publisher.flush(10) == 0
            assert_ana_is_in(broker, track=2, in_view=True)
            publisher.publish(an_event(2, type_=HitType.END))
            assert publisher.flush(10) == 0
            assert_ana_is_in(broker, track=2, in_view=False)

    def test_who_comes_back_is_in_view_again(self, broker: Mosquitto, tmp_path: Path) -> None:
        with an_agent(tmp_path, broker.broker()) as (publisher, _):
            for track, kind in ((2, HitType.NEW), (2, HitType.END), (1, HitType.NEW)):
                publisher.publish(an_event(track, type_=kind))  # the clock was set back as well
            assert publisher.flush(10) == 0
            assert_ana_is_in(broker, track=1, in_view=True)


def assert_ana_is_in(broker: Mosquitto, track: int, *, in_view: bool) -> None:
    state = state_of_ana(broker)
    assert state is not None
    assert (state["track_id"], state["in_view"]) == (track, in_view)


class TestRetraction:
    def test_a_state_is_cleared_after_the_events_that_name_the_person(
        self, broker: Mosquitto, tmp_path: Path
    ) -> None:
        with Outbox(tmp_path / "gate-1.db") as outbox:
            outbox.put(an_event(1))  # it waits, and brings a state along
        with (
            Consumer(broker.broker(), "edge-reid/lab/gate/#", ADDRESS.identity("ana")) as consumer,
            an_agent(tmp_path, broker.broker()) as (publisher, outbox),
        ):
            publisher.retract(NOBODY, enrolled=NOBODY)
            eventually(lambda: publisher.has_retracted)
            assert outbox.shown == NOBODY
            eventually(lambda: len(consumer.messages) == 3)
        told = [(message.topic, bool(message.body)) for message in consumer.messages]
        assert told == [
            (ADDRESS.identity("ana"), True),
            (ADDRESS.hits("gate"), True),
            (ADDRESS.identity("ana"), False),
        ]

    def test_it_outlives_the_agent_and_waits_for_the_broker(
        self, broker: Mosquitto, gate: Gate, tmp_path: Path
    ) -> None:
        with an_agent(tmp_path, Broker("127.0.0.1", gate.port)) as (publisher, _):
            publisher.publish(an_event(1))
            assert publisher.flush(10) == 0
            lose_connection(gate, publisher)
            publisher.retract(["ben"], enrolled=NOBODY)
            assert not publisher.has_retracted
        assert state_of_ana(broker) is not None
        with an_agent(tmp_path, broker.broker()) as (publisher, outbox):
            assert outbox.shown == {"ana", "ben"}
            publisher.retract(NOBODY, enrolled={"zoe"})
            eventually(lambda: publisher.has_retracted)
            assert outbox.shown == NOBODY
        assert state_of_ana(broker) is None

    def test_a_cleared_state_is_not_cleared_again_at_the_next_connection(
        self, broker: Mosquitto, gate: Gate, tmp_path: Path
    ) -> None:
        """Meanwhile ana is enrolled anew, and somebody else has seen her."""
        with an_agent(tmp_path, Broker("127.0.0.1", gate.port)) as (publisher, _):
            publisher.publish(an_event(1))
            publisher.retract(NOBODY, enrolled=NOBODY)
            eventually(lambda: publisher.has_retracted)
            lose_connection(gate, publisher)
            tell_by_another_agent(tmp_path, broker)
            come_back(gate, publisher)
            assert_nothing_is_cleared(publisher, broker)

    def test_who_is_enrolled_again_before_the_broker_hears_of_it_keeps_the_state(
        self, broker: Mosquitto, gate: Gate, tmp_path: Path
    ) -> None:
        with an_agent(tmp_path, Broker("127.0.0.1", gate.port)) as (publisher, outbox):
            publisher.publish(an_event(1))
            assert publisher.flush(10) == 0
            lose_connection(gate, publisher)
            publisher.retract(NOBODY, enrolled=NOBODY)
            tell_by_another_agent(tmp_path, broker)
            publisher.retract(NOBODY, enrolled={"ana"})
            come_back(gate, publisher)
            eventually(lambda: publisher.has_retracted)
            assert outbox.shown == {"ana"}
            assert_nothing_is_cleared(publisher, broker)


def assert_nothing_is_cleared(publisher: Publisher, broker: Mosquitto) -> None:
    publisher.publish(an_event(2, STRANGER))  # which every clear would come before
    assert publisher.flush(10) == 0
    state = state_of_ana(broker)
    assert state is not None
    assert state["agent"] == OTHER.agent
