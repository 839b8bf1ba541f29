"""From an agent's outbox to a database by way of a NATS cluster, while nodes and sinks die."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from support.consumer import eventually
from support.decided_tracks import STRANGER, an_event
from support.fault_figures import of_stored, record
from support.nats_cluster import NODES, NatsCluster, need_nats
from support.postgres import Postgres
from support.publishing import publishing
from support.tcp_gate import Gate

from edge_reid.consumers import nats_events
from edge_reid.consumers.fleet import Fleet, fleet_filters
from edge_reid.consumers.nats_events import REQUEST_S, NatsEvents
from edge_reid.consumers.nats_feed import servers_of
from edge_reid.consumers.presence import Presence, presence_of
from edge_reid.core.errors import BrokerError
from edge_reid.delivery.outbox_sender import AT_ONCE, Delivery
from edge_reid.delivery.publisher import Link, Publisher
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.retained import read_retained
from edge_reid.wire.nats_subjects import SinkSubjects

pytestmark = pytest.mark.broker

PATIENCE_S = 240.0
MARK = 10**9
"""The number of an event that shows that a sink is there."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Of all its nodes, whoever has killed one."""
    need_nats()
    servers = NatsCluster(tmp_path_factory.mktemp("nats"))
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()


class Sinks:
    """Processes of `edge-reid sink` that share one durable and one database."""

    def __init__(self, cluster: NatsCluster, where: str, count: int) -> None:
        self._words = "--from", cluster.servers, "--broker", cluster.url, "--to", where
        self._running = {number: self._start(number) for number in range(count)}

    def kill(self, number: int) -> None:
        """SIGKILL, and another one in its place."""
        self._running[number].kill()
        self._running[number].wait()
        self._running[number] = self._start(number)

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "edge_reid", "sink", *self._words, "--name", f"s{number}"]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.fixture
def start_sinks(cluster: NatsCluster) -> Iterator[Callable[[str, int], Sinks]]:
    """Whatever still runs afterwards is killed."""
    started: list[Sinks] = []

    def start(where: str, count: int) -> Sinks:
        started.append(Sinks(cluster, where, count))
        return started[-1]

    yield start
    for sinks in started:
        sinks.end()


def stored(where: str) -> list[tuple[int, str]]:
    """(seq, event_id) of every event in the database, also of those that are there twice."""
    query = "SELECT seq, event_id FROM edge_reid_events ORDER BY seq"
    try:
        with psycopg.connect(where) as db:
            return db.execute(query).fetchall()
    except psycopg.Error:  # no table yet
        return []


def wait_for_sinks(cluster: NatsCluster, where: str) -> None:
    """Until what is said by MQTT is stored: the consumers are there."""
    mark = an_event(MARK, STRANGER), an_event(MARK)
    connection = connect(cluster.broker())

    def has_both() -> bool:
        for event in mark:
            connection.publish(Message(event.topic, event.payload(MARK).to_json()))
        connection.turn(0.2)
        return len(stored(where)) >= len(mark)

    eventually(has_both, PATIENCE_S)
    connection.close()


def produce(publisher: Publisher, events: int, pause_s: float) -> threading.Thread:
    def publish_all() -> None:
        for track in range(1, events + 1):
            publisher.publish(an_event(track, *([STRANGER] if track % 3 == 0 else [])))
            time.sleep(pause_s)

    thread = threading.Thread(target=publish_all)
    thread.start()
    return thread


TRUSTING = "nats-server 2.9.10 has lost 170 of 10,000 in one of these runs: see README.md"


@pytest.mark.parametrize(
    ("delivery", "events", "kills"),
    [
        pytest.param(Delivery(by_sink=True, resend_s=20.0), 100, 2, marks=pytest.mark.soak),
        pytest.param(Delivery(by_sink=True), 10_000, 60, marks=pytest.mark.soak),
        pytest.param(
            AT_ONCE,
            10_000,
            60,
            marks=[pytest.mark.soak, pytest.mark.xfail(reason=TRUSTING, strict=False)],
        ),
    ],
    ids=["sink", "sink-long", "broker-long"],
)
@pytest.mark.timeout(3600)
def test_sinks_and_nodes_killed_at_random(
    cluster: NatsCluster,
    postgres: Postgres,
    start_sinks: Callable[[str, int], Sinks],
    tmp_path: Path,
    delivery: Delivery,
    events: int,
    kills: int,
) -> None:
    """With `delivered = "sink"` no node has to be trusted. An agent that trusts the cluster instead
    (`delivered = "broker"`) has lost events here.
    """
    where, dice = postgres.new_place(), random.Random(6)
    sinks = start_sinks(where, 2)
    wait_for_sinks(cluster, where)
    with publishing(tmp_path, cluster.broker(), delivery=delivery) as (publisher, outbox):
        producer = produce(publisher, events, pause_s=0.01)
        for number in range(kills):
            time.sleep(dice.uniform(0.1, 0.8))
            if number % 2:
                sinks.kill(dice.randrange(2))
                continue
            node = dice.randrange(NODES)
            cluster.kill_node(node)
            sinks.kill(dice.randrange(2))
            time.sleep(dice.uniform(0.0, 0.5))
            cluster.start_node(node)
            cluster.wait_ready(node)  # of three nodes two have to be there
        producer.join()
        assert publisher.flush(PATIENCE_S) == 0, publisher.state
        assert outbox.figures.dropped == 0
    with contextlib.suppress(AssertionError):  # what never comes is counted
        eventually(lambda: len(stored(where)) >= events + 2, PATIENCE_S)
    found = [(seq, event_id) for seq, event_id in stored(where) if seq < MARK]
    kept = "kept until a sink has it" if delivery.by_sink else "the cluster trusted"
    fault = f"NATS: nodes and two sinks of one PostgreSQL killed -9 at random, {kept}"
    record(of_stored(fault, kills, events, found))
    assert [seq for seq, _ in found] == list(range(1, events + 1))
    assert len({event_id for _, event_id in found}) == events


def test_what_waits_for_a_store_stays_with_its_sink_until_that_is_gone(
    cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server that is down for an hour is told of an event by one of two sinks only."""
    monkeypatch.setattr(nats_events, "ACK_WAIT_S", 3.0)
    cluster.wait_ready()
    subjects, servers = SinkSubjects("waiting", "lab", "sink"), servers_of(cluster.servers, {})
    first: list[Received] = []
    second: list[Received] = []
    holder = NatsEvents(servers, subjects, first.append)
    say(cluster, "waiting/lab/gate/hit")
    eventually(lambda: holder.turn(0.1) or bool(first), PATIENCE_S)
    other = NatsEvents(servers, subjects, second.append)
    end_s = time.monotonic() + 2 * 3.0
    while time.monotonic() < end_s:
        holder.turn(0.05)
        other.turn(0.05)
    assert (len(first), second) == (1, [])
    holder.close()
    eventually(lambda: other.turn(0.1) or bool(second), PATIENCE_S)
    assert second[0].body == first[0].body == b"x"
    other.acknowledge(second[0])
    other.turn(0.0)
    assert other.is_idle
    other.close()


class DeafGate(Gate):
    """Before a node that does not hear what its clients ask for: one that has no leader to ask."""

    deaf_to: bytes | None = None
    """Of the JetStream API, as a regular expression; None: it hears all."""

    def _changed(self, said: bytes, side: socket.socket) -> bytes:
        del side
        if self.deaf_to is None:
            return said
        request = rb"PUB \$JS\.API\." + self.deaf_to + rb"\S* \S+ \d+\r\n[^\r]*\r\n"
        return re.sub(request, b"", said)


class Deaf(NamedTuple):
    """A sink's connection by way of a gate, and what it heard."""

    gate: DeafGate
    subjects: SinkSubjects
    heard: list[Received]

    def connect(self) -> NatsEvents:
        servers = servers_of(f"nats://127.0.0.1:{self.gate.port}", {})
        return NatsEvents(servers, self.subjects, self.heard.append)


@pytest.fixture
def deaf(cluster: NatsCluster, request: pytest.FixtureRequest) -> Iterator[Deaf]:
    cluster.wait_ready()
    root = f"deaf-{abs(hash(request.node.name))}"
    with DeafGate(int(cluster.servers.rpartition(":")[2])) as gate:
        yield Deaf(gate, SinkSubjects(root, "lab", "sink"), [])


def hears(cluster: NatsCluster, deaf: Deaf, events: NatsEvents, *kinds: str) -> None:
    """Wait until events of these kinds come that are said now."""
    wanted = {f"{deaf.subjects.root}/lab/gate/{kind}" for kind in kinds}
    deaf.heard.clear()
    for topic in wanted:
        say(cluster, topic)
    eventually(
        lambda: events.turn(0.1) or {received.topic for received in deaf.heard} == wanted,
        PATIENCE_S,
    )


def test_all_kinds_of_events_come(cluster: NatsCluster, deaf: Deaf) -> None:
    """However many of one kind a sink would take."""
    events = deaf.connect()
    for _ in range(2):
        hears(cluster, deaf, events, "hit", "unknown", "zone")
    events.close()


def test_requests_for_events_that_nobody_heard_are_made_again(
    cluster: NatsCluster, deaf: Deaf
) -> None:
    events = deaf.connect()
    hears(cluster, deaf, events, "hit")
    deaf.gate.deaf_to = rb"CONSUMER\.MSG\.NEXT"
    ends_s = time.monotonic() + 3 * REQUEST_S
    while time.monotonic() < ends_s:
        events.turn(0.1)
    deaf.gate.deaf_to = None
    hears(cluster, deaf, events, "hit", "unknown", "zone")
    events.close()


def test_a_kind_of_event_for_which_the_cluster_does_not_answer_keeps_no_other_waiting(
    cluster: NatsCluster, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_events, "ANSWER_TIMEOUT_S", 1.0)
    monkeypatch.setattr(nats_events, "MAKE_AGAIN_S", 0.5)
    deaf.gate.deaf_to = rb"CONSUMER\.CREATE\.\S*=zone\."
    events = deaf.connect()
    hears(cluster, deaf, events, "hit", "unknown")
    deaf.gate.deaf_to = None
    eventually(lambda: events.turn(0.1) or events.has_all, PATIENCE_S)
    hears(cluster, deaf, events, "hit", "unknown", "zone")
    events.close()


def say(cluster: NatsCluster, topic: str) -> None:
    connection = connect(cluster.broker())
    connection.publish(Message(topic, "x"))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()


def test_a_device_that_is_lost_with_its_node_is_silent_by_the_age_of_its_status(
    cluster: NatsCluster, tmp_path: Path
) -> None:
    """Its last will dies with the node; what it said last lies on the others."""
    cluster.wait_ready()
    with publishing(tmp_path, cluster.broker(2), status_interval_s=0.5) as (publisher, _):
        eventually(lambda: publisher.state.link is Link.ONLINE, PATIENCE_S)
        eventually(lambda: presence(cluster, timedelta()) == "online", PATIENCE_S)
        cluster.kill_node(2)
    cluster.wait_ready(0, 1)
    eventually(lambda: presence(cluster, timedelta(minutes=2)) == "silent", PATIENCE_S)
    eventually(
        lambda: presence(cluster, timedelta()) == "online", PATIENCE_S
    )  # none said otherwise
    cluster.start_node(2)
    cluster.wait_ready(2)


def presence(cluster: NatsCluster, later: timedelta) -> Presence:
    """How the agent stands, asked at the first node, if it were later by so much."""
    fleet = Fleet("edge-reid", "lab")
    with contextlib.suppress(BrokerError):  # nodes that agree on a leader answer nobody
        connection = connect(cluster.broker(0))
        connection.subscribe(fleet_filters("edge-reid", "lab"), qos=0)
        fleet.learn_all(read_retained(connection.receive).messages)
        connection.close()
    status = fleet.members[0].status if fleet.members else None
    return presence_of(status, datetime.now(timezone.utc) + later)
