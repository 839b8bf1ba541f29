"""What the broker does not take of us holds nothing else up, is counted, named, and not lost."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, ORIGIN, STRANGER, a_hit, an_event
from support.mosquitto import Mosquitto
from support.tcp_gate import Gate

from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import AT_ONCE, Delivery
from edge_reid.delivery.publisher import AgentFacts, Link, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport, connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.events import Event
from edge_reid.wire.payloads import EventsStored
from edge_reid.wire.topics import Address

pytestmark = pytest.mark.broker

FACTS = AgentFacts(model_id="0123456789abcdef", gallery_version=3, started_utc_s=100.0)
RULES = ("topic read #", "topic write edge-reid/lab/gate/#", "topic write edge-reid/lab/agents/#")
"""Of a certificate for the camera `gate`."""


def of_camera(camera: str, track: int) -> Event:
    return Event(a_hit(track, STRANGER), replace(ORIGIN, camera=camera))


class Strict(Gate):
    """Hangs up at whatever holds these bytes: a topic, and what follows it in a packet."""

    def __init__(self, target_port: int, forbidden: bytes) -> None:
        super().__init__(target_port)
        self._forbidden = forbidden

    def _changed(self, said: bytes, side: socket.socket) -> bytes:
        if self._forbidden not in said:
            return said
        self.hang_up()
        return b""


@contextmanager
def an_agent(
    outbox: Outbox, broker: Broker, address: Address = ADDRESS, delivery: Delivery = AT_ONCE
) -> Iterator[Publisher]:
    pace = {"retry_s": (0.02, 0.1), "status_interval_s": 0.3}
    with Publisher(
        MqttTransport(broker), outbox, address, FACTS, delivery=delivery, **pace
    ) as publisher:
        yield publisher


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db") as opened:
        yield opened


def test_events_of_a_camera_that_was_renamed_do_not_hold_up_those_of_the_new_name(
    make_broker: Callable[..., Mosquitto], outbox: Outbox
) -> None:
    for track in range(1, 61):
        outbox.put(of_camera("door" if track % 10 < 3 else "gate", track))
    fenced = make_broker(acl=RULES)
    with Consumer(fenced.broker()) as consumer, an_agent(outbox, fenced.broker()) as ours:
        assert ours.flush(20) == 18
        hits = consumer.wait_for("gate/unknown", count=42)
        assert len({hit["event_id"] for hit in hits}) == len(hits) == 42, "each came once"
        assert ours.state.link is Link.ONLINE
        assert "does not take messages on edge-reid/lab/door/unknown" in ours.state.reason
        eventually(lambda: consumer.payloads("agents/gate-1/status")[-1]["events_refused"] == 18)
        status = consumer.payloads("agents/gate-1/status")[-1]
        assert "edge-reid/lab/door/unknown" in status["refused"]
        assert "check what this login may do there" in status["refused"]
        assert status["events_dropped"] == 0
        eventually(lambda: consumer.payloads("agents/gate-1/status")[-1]["outbox_depth"] == 18)


def test_what_was_refused_goes_once_the_rule_is_put_right(
    make_broker: Callable[..., Mosquitto],
    outbox: Outbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_reid.mqtt.refusals.RETRY_S", 0.5)
    fenced = make_broker(acl=RULES)
    with Consumer(fenced.broker()) as consumer, an_agent(outbox, fenced.broker()) as ours:
        for track in (1, 2, 3):
            ours.publish(of_camera("door", track))
        ours.publish(of_camera("gate", 4))
        assert ours.flush(10) == 3
        allow(tmp_path, fenced, *RULES, "topic write edge-reid/lab/door/#")
        eventually(lambda: outbox.figures.depth == 0)
        assert {hit["track_id"] for hit in consumer.wait_for("door/unknown", count=3)} == {1, 2, 3}
        eventually(lambda: not ours.state.reason)


def allow(folder: Path, broker: Mosquitto, *rules: str) -> None:
    """Mosquitto reads its rules again at SIGHUP."""
    (folder / "mosquitto-0" / "acl").write_text("\n".join(rules) + "\n")
    broker.reload()


def test_a_state_that_is_refused_does_not_hold_up_the_hit(
    make_broker: Callable[..., Mosquitto], outbox: Outbox
) -> None:
    fenced = make_broker(acl=RULES)
    with Consumer(fenced.broker()) as consumer, an_agent(outbox, fenced.broker()) as ours:
        for track in (1, 2):
            ours.publish(an_event(track))
        assert ours.flush(10) == 0
        consumer.wait_for("gate/hit", count=2)
        assert "edge-reid/lab/identities/ana" in ours.state.reason


def test_an_event_too_large_for_the_broker_does_not_hold_up_the_others(
    make_broker: Callable[..., Mosquitto], outbox: Outbox
) -> None:
    small = make_broker(more=("message_size_limit 1000",))
    long_name = replace(ORIGIN, model_id="0123456789abcdef" * 40)
    with an_agent(outbox, small.broker()) as ours, Consumer(small.broker()) as consumer:
        ours.publish(an_event(1, STRANGER))
        ours.publish(Event(a_hit(2, STRANGER), long_name))
        ours.publish(an_event(3, STRANGER))
        assert ours.flush(10) == 1
        assert [it["track_id"] for it in consumer.wait_for("gate/unknown", count=2)] == [1, 3]


class TestWithASink:
    """With `delivered = "sink"`."""

    BY_SINK = Delivery(by_sink=True, resend_s=0.5, unconfirmed_max=5)

    def test_events_of_an_agent_that_was_renamed_leave_and_let_the_new_ones_out(
        self, broker: Mosquitto, outbox: Outbox
    ) -> None:
        """No sink's word on events of `gate-1` reaches `gate-2`: the broker's is all there is."""
        for track in range(1, 9):
            outbox.put(an_event(track, STRANGER))
        renamed = Address("edge-reid", "lab", "gate-2")
        with (
            Consumer(broker.broker()) as consumer,
            an_agent(outbox, broker.broker(), renamed, self.BY_SINK) as ours,
        ):
            eventually(lambda: outbox.figures.depth == 0)
            ours.publish(Event(a_hit(9, STRANGER), replace(ORIGIN, address=renamed)))
            hits = consumer.wait_for("gate/unknown", count=9)
            assert [hit["track_id"] for hit in hits][:9] == list(range(1, 10))
            assert outbox.figures.depth == 1, "its own waits for the sink"

    def test_events_that_no_sink_wants_do_not_hold_up_those_that_it_takes(
        self, broker: Mosquitto, outbox: Outbox
    ) -> None:
        for track in range(1, 13):
            outbox.put(an_event(track, STRANGER))
        with (
            Consumer(broker.broker(), "edge-reid/lab/gate/#") as sink,
            an_agent(outbox, broker.broker(), delivery=self.BY_SINK) as ours,
        ):
            stored: set[str] = set()
            eventually(lambda: confirm_all_but_the_first_six(sink, broker, stored) == 6, 20)
            eventually(lambda: outbox.figures.depth == 6)
            assert [row.seq for row in outbox.pending()] == [1, 2, 3, 4, 5, 6]
            assert ours.state.link is Link.ONLINE


def confirm_all_but_the_first_six(sink: Consumer, broker: Mosquitto, stored: set[str]) -> int:
    wanted = {hit["event_id"] for hit in sink.payloads("unknown") if hit["track_id"] > 6}
    if new := wanted - stored:
        word = EventsStored(site="lab", agent="gate-1", event_ids=tuple(new))
        connection = connect(broker.broker())
        connection.publish(Message(ADDRESS.agent_stored, word.to_json()))
        while not connection.is_idle:
            connection.turn(0.1)
        connection.close()
        stored |= new
    return len(stored)


def test_a_broker_that_hangs_up_at_an_event_gets_the_others(
    broker: Mosquitto, outbox: Outbox
) -> None:
    """Some hang up without a word where they do not let a client publish."""
    with Strict(broker.port, forbidden=b"lab/door/unknown\0") as strict:
        for track in range(1, 31):
            outbox.put(of_camera("door" if track % 10 < 3 else "gate", track))
        with (
            Consumer(broker.broker()) as consumer,
            an_agent(outbox, Broker("127.0.0.1", strict.port)) as ours,
        ):
            hits = consumer.wait_for("gate/unknown", count=21, timeout_s=30)
            eventually(lambda: outbox.figures.depth == 9)
            assert {hit["track_id"] for hit in hits} == {n for n in range(1, 31) if n % 10 > 2}
            eventually(lambda: "lab/door/unknown: hangs up" in ours.state.reason)
            assert consumer.payloads("door/unknown") == []
