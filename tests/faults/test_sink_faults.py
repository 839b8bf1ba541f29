"""From an agent's outbox to a sink's database, while everything between them dies."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import STRANGER, an_event
from support.event_tables import partitions
from support.fault_figures import of_stored, record
from support.mosquitto import Mosquitto
from support.postgres import Postgres
from support.publishing import publishing
from support.secured_broker import SecuredMosquitto, secured_mosquitto

from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import Delivery
from edge_reid.delivery.publisher import Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message

pytestmark = pytest.mark.broker

BY_SINK = Delivery(by_sink=True, resend_s=3.0)
ONCE_BY_SINK = Delivery(by_sink=True, resend_s=3600.0)
"""Whom a busy machine keeps waiting is not told again, perhaps by way of the other sink."""
HASTY_BY_SINK = Delivery(by_sink=True, resend_s=0.5)
PATIENT_BY_SINK = Delivery(by_sink=True, resend_s=20.0)
"""Longer than a sink takes to come back: what the broker holds for it is not given up."""
PATIENCE_S = 120.0

SinkProcess = subprocess.Popen[bytes]


@pytest.fixture
def start_sink() -> Iterator[Callable[..., SinkProcess]]:
    """Starts `edge-reid sink …`; whatever still runs afterwards is killed."""
    running: list[SinkProcess] = []

    def start(*words: object) -> SinkProcess:
        command = [sys.executable, "-m", "edge_reid", "sink", *map(str, words)]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def rows(path: Path) -> list[tuple[int, str]]:
    """(seq, event_id) of every event that a sink has stored."""
    if not path.exists():
        return []
    with sqlite3.connect(path, timeout=20) as db:
        try:
            return db.execute("SELECT seq, event_id FROM events ORDER BY seq").fetchall()
        except sqlite3.OperationalError:  # no table yet
            return []


def wait_for_sink(sink: SinkProcess, broker: Mosquitto, stored: Callable[[], int]) -> None:
    """Until it has subscribed: it stores a mark that only this test sends."""
    mark = an_event(10**9, STRANGER)
    connection = connect(_insider(broker))

    def has_it() -> bool:
        assert sink.poll() is None, sink.communicate()[1].decode()
        connection.publish(Message(mark.topic, mark.payload(10**9).to_json()))
        connection.turn(0.05)
        return stored() > 0

    eventually(has_it, PATIENCE_S)
    connection.close()


def _insider(broker: Mosquitto) -> Broker:
    return broker.broker_for("gate-1") if isinstance(broker, SecuredMosquitto) else broker.broker()


def produce(
    publisher: Publisher, events: int, pause_s: float = 0.002, spread_s: float | None = None
) -> threading.Thread:
    """Publish in a thread; with `spread_s` events are of now, and of once, twice, thrice as long
    ago.
    """
    now_s = time.time()

    def publish_all() -> None:
        for track in range(1, events + 1):
            event = an_event(track)
            if spread_s is not None:
                decided_s = now_s - track % 4 * spread_s - track / 1000
                event = replace(event, hit=replace(event.hit, decided_utc_s=decided_s))
            publisher.publish(event)
            time.sleep(pause_s)

    thread = threading.Thread(target=publish_all)
    thread.start()
    return thread


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredMosquitto]:
    """A running Mosquitto with the shipped configuration, TLS and access rules."""
    with secured_mosquitto(tmp_path) as broker:
        yield broker


@pytest.mark.parametrize(
    ("events", "kills"), [(1_000, 6), pytest.param(10_000, 60, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(900)
def test_a_broker_killed_again_and_again_while_a_sink_listens(
    secured: SecuredMosquitto,
    tmp_path: Path,
    start_sink: Callable[..., SinkProcess],
    events: int,
    kills: int,
) -> None:
    """The shipped broker configuration, TLS and access rules; kill -9, and nobody waits for
    anybody: agent and sink find back by themselves. Every event is stored, once, without a gap.
    """
    broker, dice = secured, random.Random(3)
    own = broker.login("archive")
    database = tmp_path / "hits.db"
    start_sink(
        *("--broker", broker.url, "--to", f"sqlite:///{database}", "--site", "lab"),
        *("--ca-file", own["ca_file"], "--cert-file", own["cert_file"]),
        *("--key-file", own["key_file"]),
    )
    with publishing(tmp_path, broker.broker_for("gate-1"), delivery=BY_SINK) as (publisher, outbox):
        producer = produce(publisher, events)
        for _ in range(kills):
            time.sleep(dice.uniform(0.1, 1.0))
            broker.kill()
            time.sleep(dice.uniform(0.0, 0.3))
            broker.start()
        producer.join()
        left = publisher.flush(PATIENCE_S)
        assert left == 0, publisher.state
        assert outbox.figures.dropped == 0
    found = rows(database)
    record(of_stored("broker killed -9 and restarted, sink in SQLite", kills, events, found))
    assert [seq for seq, _ in found] == list(range(1, events + 1))
    assert len({event_id for _, event_id in found}) == events


@pytest.mark.parametrize(
    ("events", "kills"), [(300, 3), pytest.param(3_000, 30, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(900)
def test_a_sink_killed_again_and_again(
    broker: Mosquitto,
    tmp_path: Path,
    start_sink: Callable[..., SinkProcess],
    events: int,
    kills: int,
) -> None:
    """The agent trusts the broker (`delivered = "broker"`), and the broker keeps what the dead
    sink had not acknowledged.
    """
    database, dice = tmp_path / "hits.db", random.Random(4)
    words = ("--broker", broker.url, "--to", f"sqlite:///{database}")
    sink = start_sink(*words)
    wait_for_sink(sink, broker, lambda: len(rows(database)))
    with publishing(tmp_path, broker.broker()) as (publisher, _):
        producer = produce(publisher, events, pause_s=0.01)
        for _ in range(kills):
            before = len(rows(database))
            eventually(lambda: len(rows(database)) > before or not producer.is_alive(), PATIENCE_S)  # noqa: B023
            time.sleep(dice.uniform(0, 0.2))
            sink.kill()
            sink.wait()
            sink = start_sink(*words)
        producer.join()
        assert publisher.flush(PATIENCE_S) == 0
    eventually(lambda: len(rows(database)) >= events + 1, PATIENCE_S)  # one is the mark
    found = [(seq, event_id) for seq, event_id in rows(database) if seq < 10**9]
    record(of_stored("sink killed -9 and restarted", kills, events, found))
    assert [seq for seq, _ in found] == list(range(1, events + 1))


def test_two_sinks_share_the_events_and_each_event_is_stored_once(
    broker: Mosquitto, tmp_path: Path, start_sink: Callable[..., SinkProcess]
) -> None:
    files = [tmp_path / "one.db", tmp_path / "other.db"]
    sinks = [
        start_sink("--broker", broker.url, "--to", f"sqlite:///{file}", "--name", file.stem)
        for file in files
    ]
    for sink, file in zip(sinks, files, strict=True):
        wait_for_sink(sink, broker, lambda: len(rows(file)))  # noqa: B023
    with publishing(tmp_path, broker.broker(), delivery=ONCE_BY_SINK) as (publisher, _):
        for track in range(1, 201):
            publisher.publish(an_event(track))
        assert publisher.flush(PATIENCE_S) == 0
    shares = [[event_id for seq, event_id in rows(file) if seq < 10**9] for file in files]
    assert all(len(share) > 50 for share in shares), "neither has all the work"
    assert max(Counter(shares[0] + shares[1]).values()) == 1
    assert len(shares[0]) + len(shares[1]) == 200


@pytest.mark.parametrize(
    ("events", "kills"), [(300, 3), pytest.param(10_000, 60, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(900)
def test_several_sinks_of_one_postgres_killed_at_random(
    broker: Mosquitto,
    postgres: Postgres,
    tmp_path: Path,
    start_sink: Callable[..., SinkProcess],
    events: int,
    kills: int,
) -> None:
    """Three share a stream. What a dead one held goes to it again, or by the agent to another; the
    events are of four months, so that sinks make the partitions beside each other.
    """
    where, names, dice = postgres.new_place(), ("one", "two", "three"), random.Random(5)
    tables = "SELECT seq, event_id FROM edge_reid_events WHERE seq < 1000000000 ORDER BY seq"

    def start(name: str) -> SinkProcess:
        return start_sink("--broker", broker.url, "--to", where, "--name", name)

    sinks = {name: start(name) for name in names}
    for sink in sinks.values():
        wait_for_sink(sink, broker, lambda: count_in(where))
    with publishing(tmp_path, broker.broker(), delivery=PATIENT_BY_SINK) as (publisher, _):
        producer = produce(publisher, events, spread_s=40 * 86_400.0)
        for _ in range(kills):
            time.sleep(dice.uniform(0.1, 0.8))
            name = dice.choice(names)
            sinks[name].kill()
            sinks[name].wait()
            sinks[name] = start(name)
        producer.join()
        assert publisher.flush(PATIENCE_S) == 0
    with psycopg.connect(where) as db:
        found = db.execute(tables).fetchall()
    record(of_stored("three sinks of one PostgreSQL killed -9 at random", kills, events, found))
    assert [seq for seq, _ in found] == list(range(1, events + 1))
    months = {name: held for name, held in partitions(where).items() if "other" not in name}
    assert len(months) >= 4
    assert sum(map(len, months.values())) >= events


def count_in(where: str) -> int:
    try:
        with psycopg.connect(where) as db:
            found = db.execute("SELECT count(*) FROM edge_reid_events").fetchone()
            return found[0] if found else 0
    except psycopg.Error:
        return 0


def test_postgres_restarted_in_the_middle_costs_nothing(
    broker: Mosquitto,
    postgres: Postgres,
    tmp_path: Path,
    start_sink: Callable[..., SinkProcess],
) -> None:
    where, events, crashes = postgres.new_place(), 300, 2
    sink = start_sink("--broker", broker.url, "--to", where)

    def stored() -> list[tuple[int, str]]:
        query = "SELECT seq, event_id FROM edge_reid_events WHERE seq < 1000000000 ORDER BY seq"
        try:
            with psycopg.connect(where) as db:
                return db.execute(query).fetchall()
        except psycopg.Error:  # no table yet, or just away
            return []

    wait_for_sink(sink, broker, lambda: count_in(where))
    with publishing(tmp_path, broker.broker()) as (publisher, _):
        producer = produce(publisher, events, pause_s=0.01)
        for _ in range(crashes):
            before = len(stored())
            eventually(lambda: len(stored()) > before or not producer.is_alive(), PATIENCE_S)  # noqa: B023
            postgres.crash()
            time.sleep(0.3)
            postgres.start()
        producer.join()
        assert publisher.flush(PATIENCE_S) == 0
    eventually(lambda: len(stored()) >= events, PATIENCE_S)
    found = stored()
    record(of_stored("PostgreSQL crashed and restarted under the sink", crashes, events, found))
    assert [seq for seq, _ in found] == list(range(1, events + 1))


def test_events_that_no_sink_confirms_wait_and_are_told_again(
    broker: Mosquitto, tmp_path: Path, start_sink: Callable[..., SinkProcess]
) -> None:
    """`delivered = "sink"`: the broker alone is no reason to forget an event."""
    database = tmp_path / "hits.db"
    with (
        Consumer(broker.broker()) as consumer,
        publishing(tmp_path, broker.broker(), delivery=HASTY_BY_SINK) as (publisher, outbox),
    ):
        publisher.publish(an_event(1))
        first, second = consumer.wait_for("gate/hit", count=2)[:2]
        assert first["event_id"] == second["event_id"]
        assert outbox.figures.depth == 1
        start_sink("--broker", broker.url, "--to", f"sqlite:///{database}")
        assert publisher.flush(PATIENCE_S) == 0
    assert rows(database) == [(1, first["event_id"])]


def test_a_video_that_was_run_twice_while_no_sink_listened_leaves_whole(
    broker: Mosquitto, tmp_path: Path, start_sink: Callable[..., SinkProcess]
) -> None:
    """Its events are in the outbox twice, each time under the same `event_id`."""
    database = tmp_path / "hits.db"
    sink = start_sink("--broker", broker.url, "--to", f"sqlite:///{database}")
    wait_for_sink(sink, broker, lambda: len(rows(database)))
    with Outbox(tmp_path / "outbox.db") as outbox:
        for track in (1, 2, 1, 2):
            outbox.put(an_event(track))
    with publishing(tmp_path, broker.broker(), delivery=ONCE_BY_SINK) as (publisher, _):
        assert publisher.flush(20) == 0
    assert len(rows(database)) == 2 + 1, "one is the mark"


def test_what_is_no_event_is_skipped_and_stops_nothing(
    broker: Mosquitto, tmp_path: Path, start_sink: Callable[..., SinkProcess]
) -> None:
    database, good, forged, huge = tmp_path / "hits.db", *map(an_event, (1, 2, 3))
    sink = start_sink("--broker", broker.url, "--to", f"sqlite:///{database}", "--count", 2)
    wait_for_sink(sink, broker, lambda: len(rows(database)))
    connection = connect(broker.broker())
    too_much = huge.payload(3).to_json().replace('"track_id":3,', f'"track_id":{2**80},')
    for topic, text in (
        (good.topic, "hello"),
        (good.topic, ""),
        (huge.topic, too_much),
        (forged.topic.replace("gate", "door"), forged.payload(2).to_json()),
        (good.topic, good.payload(1).to_json()),
    ):
        connection.publish(Message(topic, text))
        while not connection.is_idle:
            connection.turn(0.1)
    connection.close()
    said = sink.communicate(timeout=PATIENCE_S)[1].decode()
    assert sink.returncode == 0, said
    assert "2 events stored" in said  # the mark and the good one
    assert "4 messages skipped" in said
    assert [seq for seq, _ in rows(database)] == [1, 10**9]


def test_a_sink_that_starts_before_its_broker_waits_for_it(
    broker: Mosquitto, tmp_path: Path, start_sink: Callable[..., SinkProcess]
) -> None:
    broker.stop()
    database = tmp_path / "hits.db"
    sink = start_sink("--broker", broker.url, "--to", f"sqlite:///{database}")
    eventually(database.exists, PATIENCE_S)  # it is up, and its broker is not
    broker.start()
    wait_for_sink(sink, broker, lambda: len(rows(database)))


def test_sigterm_stores_what_is_in_hand(
    broker: Mosquitto, tmp_path: Path, start_sink: Callable[..., SinkProcess]
) -> None:
    file = tmp_path / "hits.jsonl"
    sink = start_sink("--broker", broker.url, "--to", file)
    wait_for_sink(sink, broker, lambda: len(file.read_bytes()) if file.exists() else 0)
    sink.send_signal(signal.SIGTERM)
    said = sink.communicate(timeout=PATIENCE_S)[1].decode()
    assert sink.returncode == 0
    assert "1 events stored" in said
