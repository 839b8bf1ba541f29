"""Events of our cameras in outboxes that nobody has any more are delivered from ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, ANA, ORIGIN, STRANGER, a_zone_event, an_event
from support.mosquitto import Mosquitto
from support.set_clock import Clock

from edge_reid.delivery.inherited_events import BATCH, InheritedEvents
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Link, Publisher
from edge_reid.delivery.unused_outboxes import ABANDONED_S
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.wire.payloads import parse_event

ZOE = replace(ANA, identity="zoe-quist")
OTHER = replace(ADDRESS, agent="gate-1-gate")
"""What the agent of the camera was called before."""


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox-gate-1.db") as outbox:
        yield outbox


def left_behind(folder: Path, *tracks: int, camera: str = "gate", decision: object = ANA) -> Path:
    """The outbox of an agent that is gone, in which events wait."""
    path = folder / f"outbox-{camera}.db"
    with Outbox(path) as outbox:
        for track in tracks:
            event = an_event(track, decision)  # type: ignore[arg-type]
            origin = replace(event.origin, address=OTHER, camera=camera)
            outbox.put(replace(event, origin=origin))
    return path


def test_they_go_from_here_in_order_under_our_name_and_numbers(
    ours: Outbox, tmp_path: Path
) -> None:
    ours.put(an_event(1))
    path = left_behind(tmp_path, 7, 8, decision=STRANGER)
    with Outbox(path) as before:
        ids = [parse_event(row.body).event_id for row in before.pending()]
    taken = InheritedEvents(ours, ADDRESS, ["gate"], after_s=0).take_when_due(None)
    rows = ours.pending()
    events = [parse_event(row.body) for row in rows]
    assert (taken, [row.seq for row in rows]) == (2, [1, 2, 3])
    assert [event.seq for event in events] == [1, 2, 3]
    assert [event.event_id for event in events[1:]] == ids
    assert {event.agent for event in events} == {ADDRESS.agent}
    assert [event.replayed for event in events] == [False, True, True]
    with Outbox(path) as emptied:
        assert (emptied.figures.depth, emptied.figures.dropped) == (0, 0)
    assert ours.put(an_event(9)) == 4


def test_events_of_zones_go_too_whoever_is_enrolled(ours: Outbox, tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox-gate.db") as outbox:
        outbox.put(replace(a_zone_event(3), origin=replace(ORIGIN, address=OTHER)))
    heir = InheritedEvents(ours, ADDRESS, ["gate"], only_enrolled=True, after_s=0)
    assert heir.take_when_due(frozenset()) == 1
    (row,) = ours.pending()
    event = parse_event(row.body)
    assert (row.topic, event.agent) == ("edge-reid/lab/gate/zone", ADDRESS.agent)


def test_nothing_is_taken_before_nobody_comes_back(ours: Outbox, tmp_path: Path) -> None:
    clock, path = Clock(), left_behind(tmp_path, 1)
    inherited = InheritedEvents(ours, ADDRESS, ["gate"], clock=clock)
    with Outbox(path):
        assert inherited.take_when_due(None) == 0
        clock.now_s += ABANDONED_S
        assert inherited.take_when_due(None) == 0, "its agent has it open"
    clock.now_s += ABANDONED_S
    assert inherited.take_when_due(None) == 0, "it has stopped only now, for all we know"
    clock.now_s += ABANDONED_S
    assert inherited.take_when_due(None) == 1


def test_what_is_of_another_camera_or_site_stays(ours: Outbox, tmp_path: Path) -> None:
    path = left_behind(tmp_path, 1, camera="yard")
    inherited = InheritedEvents(ours, replace(ADDRESS, site="farm"), ["yard"], after_s=0)
    assert inherited.take_when_due(None) == 0
    assert InheritedEvents(ours, ADDRESS, ["gate"], after_s=0).take_when_due(None) == 0
    with Outbox(path) as outbox:
        assert outbox.figures.depth == 1


def test_an_agent_that_confirms_erasures_leaves_those_who_are_not_enrolled(
    ours: Outbox, tmp_path: Path
) -> None:
    path = left_behind(tmp_path, 1)
    with Outbox(path) as outbox:
        outbox.put(an_event(2, ZOE))
    inherited = InheritedEvents(ours, ADDRESS, ["gate"], after_s=0, only_enrolled=True)
    assert inherited.take_when_due(None) == 0, "who is enrolled is not known yet"
    assert inherited.take_when_due(frozenset({"ana"})) == 1
    assert ours.shown == {"ana"}
    with Outbox(path) as outbox:
        assert [parse_event(row.body).identity for row in outbox.pending()] == ["zoe-quist"]


def test_many_are_inherited_a_batch_at_a_time(ours: Outbox, tmp_path: Path) -> None:
    clock = Clock()
    left_behind(tmp_path, *range(1, 2 * BATCH))
    inherited = InheritedEvents(ours, ADDRESS, ["gate"], after_s=0, clock=clock)
    assert inherited.take_when_due(None) == BATCH
    assert inherited.take_when_due(None) == 0, "not in the same second"
    clock.now_s += 1
    assert inherited.take_when_due(None) == BATCH - 1
    tracks = [parse_event(row.body).track_id for row in ours.pending(limit=1000)]
    assert tracks == list(range(1, 2 * BATCH))


def test_no_event_of_ours_gives_way(tmp_path: Path) -> None:
    path = left_behind(tmp_path, *range(1, BATCH))
    with Outbox(tmp_path / "outbox-gate-1.db", max_bytes=1 << 18) as ours:
        for track in range(1, 100):
            ours.put(an_event(track))
        before = ours.figures
        taken = InheritedEvents(ours, ADDRESS, ["gate"], after_s=0).take_when_due(None)
        assert ours.figures.depth == before.depth + taken
        assert ours.figures.dropped == before.dropped
    with Outbox(path) as left:
        assert left.figures.depth == BATCH - 1 - taken > 0, "for as many as there was no room"


@pytest.mark.broker
def test_a_broker_gets_them_as_replayed_and_a_state_never_goes_back(
    broker: Mosquitto, ours: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_reid.delivery.inherited_events.LOOK_S", 0.1)
    left_behind(tmp_path, 1)
    inherited = InheritedEvents(ours, ADDRESS, ["gate"], after_s=0.5)
    facts = AgentFacts("0123456789abcdef", 3, 100.0, cameras=("gate",))
    newer = an_event(2)
    later = newer.hit.last_seen_utc_s + 60
    newer = replace(newer, hit=replace(newer.hit, last_seen_utc_s=later))
    with (
        Consumer(broker.broker()) as consumer,
        Publisher(
            MqttTransport(broker.broker()), ours, ADDRESS, facts, inherited=inherited
        ) as publisher,
    ):
        assert publisher.wait_settled(5).link is Link.ONLINE
        publisher.publish(newer)
        eventually(lambda: ours.figures.last_seq == 2)
        publisher.flush(5)
        first, second = consumer.wait_for("gate/hit", 2)
        states = consumer.wait_for("identities/ana")
    assert (first["track_id"], first["replayed"]) == (2, False)
    assert (second["track_id"], second["replayed"], second["seq"]) == (1, True, 2)
    assert [state["track_id"] for state in states] == [2]
