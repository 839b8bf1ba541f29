"""What happened at zones, in every kind of store, and who it was."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, STRANGER, a_zone_event, an_event
from support.event_tables import make_tables_0_5
from support.mosquitto import Mosquitto
from support.postgres import Postgres
from support.secured_broker import secured_mosquitto

from edge_reid.consumers.event_feed import Share
from edge_reid.consumers.event_query import EventQuery
from edge_reid.consumers.event_store import RejectedEventError
from edge_reid.consumers.mqtt_feed import MqttFeed
from edge_reid.consumers.sink import Sink
from edge_reid.consumers.sqlite_store import MIGRATIONS
from edge_reid.consumers.store_urls import open_store, read_events
from edge_reid.consumers.zone_query import ZoneQuery, ZoneSighting
from edge_reid.consumers.zone_rows import ZONE_COLUMNS, ZONE_TABLE
from edge_reid.core.types import HitType, ZoneChangeType
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.wire.payloads import AnyEvent, ZonePayload

LEFT, CROSSED = ZoneChangeType.LEFT, ZoneChangeType.CROSSED

ANA_IN = a_zone_event(1).payload(2)
ANA_OUT = a_zone_event(1, LEFT).payload(3)
STRANGER_CROSSED = a_zone_event(5, CROSSED, "door").payload(5)
NOBODY_YET = a_zone_event(8).payload(6)
TAKEN_BACK = a_zone_event(9).payload(9)
ZONES = [ANA_IN, ANA_OUT, STRANGER_CROSSED, NOBODY_YET, TAKEN_BACK]
EVENTS: list[AnyEvent] = [
    an_event(1).payload(1),
    ANA_IN,
    ANA_OUT,
    an_event(5, STRANGER).payload(4).model_copy(update={"stranger": "anon-3fa2c1-12"}),
    STRANGER_CROSSED,
    NOBODY_YET,
    an_event(9).payload(7),
    replace(an_event(9, type_=HitType.CORRECTION), corrects="7").payload(8),
    TAKEN_BACK,
]  # type: ignore[list-item]
WHO = ["ana", "ana", "anon-3fa2c1-12", None, None]


@pytest.fixture(params=["sqlite", "postgres", "lines"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new and empty place of every kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hits.db'}"
    if request.param == "lines":
        return str(tmp_path / "hits.jsonl")
    return request.getfixturevalue("postgres").new_place()


def seqs(where: str, **asked: object) -> list[int]:
    query = ZoneQuery(**asked)  # type: ignore[arg-type]
    return [sighting.event.seq for sighting in read_events(where, query)]


def test_each_is_there_once_beside_the_hits_and_with_who_it_was(where: str) -> None:
    store = open_store(where)
    assert store.write(EVENTS[:4]) == 4
    assert store.write(EVENTS) == len(EVENTS) - 4
    assert store.write(EVENTS) == 0
    store.close()
    expected = [ZoneSighting(event, who) for event, who in zip(ZONES, WHO, strict=True)]
    assert read_events(where, ZoneQuery()) == expected
    hits = read_events(where, EventQuery())
    assert [event.seq for event in hits] == [1, 4, 7, 8], "they are where they always were"
    assert seqs(where, who="ana") == [2, 3]
    assert seqs(where, who="anon-3fa2c1-12") == [5]
    assert seqs(where, limit=2) == [6, 9]
    assert seqs(where, since_utc_s=3.0, until_utc_s=6.0) == [3, 5]
    assert seqs(where, camera="yard") == seqs(where, site="farm") == []


def test_a_later_word_on_the_track_says_who_it_was(where: str) -> None:
    store = open_store(where)
    store.write([ANA_IN])
    (nobody,) = read_events(where, ZoneQuery())
    store.write([an_event(1).payload(1)])
    store.close()
    (ana,) = read_events(where, ZoneQuery())
    assert (nobody.who, ana.who) == (None, "ana")


def test_what_is_old_is_deleted_there_too(postgres: Postgres, tmp_path: Path) -> None:
    now_s = 1_800_000_000.0
    old, new = (
        ANA_IN.model_copy(update={"event_id": when, "decided_at": when})
        for when in ("2026-10-01T00:00:00.000Z", "2026-11-29T00:00:00.000Z")
    )
    before_s = 1_793_000_000.0  # in October 2026
    assert now_s > before_s
    for where in (postgres.new_place(), f"sqlite:///{tmp_path / 'hits.db'}"):
        store = open_store(where)
        store.write([old, new, *EVENTS])
        store.expire(before_s)
        store.close()
        left = [sighting.event.event_id for sighting in read_events(where, ZoneQuery())]
        assert old.event_id not in left
        assert {new.event_id, ANA_IN.event_id} <= {*left}, "a clock that is wrong ages nothing"


def test_what_fits_no_database_is_refused_and_nothing_is_half_there(
    postgres: Postgres, tmp_path: Path
) -> None:
    odd = ANA_IN.model_copy(update={"track_id": 2**70})
    for where in (postgres.new_place(), f"sqlite:///{tmp_path / 'hits.db'}"):
        store = open_store(where)
        with pytest.raises(RejectedEventError):
            store.write([EVENTS[0], odd])
        store.close()
        assert read_events(where, EventQuery()) == []


def test_older_tables_get_the_new_one(postgres: Postgres, tmp_path: Path) -> None:
    """SQLite as 0.6 made it before there were zones, PostgreSQL as 0.5 did."""
    file = tmp_path / "hits.db"
    hit = EVENTS[0]
    open_store(f"sqlite:///{file}").close()
    with sqlite3.connect(file) as lite:
        lite.execute(f"DROP TABLE {ZONE_TABLE}")
        lite.execute("DROP INDEX events_by_track")
        lite.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    place = postgres.new_place()
    assert not isinstance(hit, ZonePayload)
    make_tables_0_5(place, hit)
    for where in (place, f"sqlite:///{file}"):
        store = open_store(where)
        store.write([hit, ANA_IN])
        store.close()
        assert read_events(where, ZoneQuery()) == [ZoneSighting(ANA_IN, "ana")]


def test_who_may_write_hits_may_write_zones(postgres: Postgres) -> None:
    import psycopg

    where = postgres.new_place()
    make_tables_0_5(where)
    with psycopg.connect(where) as db:
        db.execute("DROP ROLE IF EXISTS zone_writer")
        db.execute("CREATE ROLE zone_writer")
        db.execute("GRANT INSERT ON edge_reid_events TO zone_writer")
    open_store(where).close()
    with psycopg.connect(where) as db:
        found = db.execute(
            "SELECT has_table_privilege('zone_writer', %s, 'INSERT'),"
            " has_table_privilege('zone_writer', %s, 'SELECT')",
            (ZONE_TABLE, ZONE_TABLE),
        ).fetchone()
    assert found == (True, False)


def test_what_the_table_holds_is_described() -> None:
    readme = (Path(__file__).parents[2] / "deploy" / "broker" / "README.md").read_text()
    described = readme.split("## What a sink keeps")[1].split("\n## ")[0]
    assert ZONE_TABLE in described
    assert [name for name in ZONE_COLUMNS if f"`{name}`" not in described] == []


FACTS = AgentFacts(model_id="0123456789abcdef", gallery_version=3, started_utc_s=0.0)
SHARE = Share("edge-reid", "lab", "archive", "a")


@pytest.mark.broker
def test_a_sink_stores_them_and_confirms_them(broker: Mosquitto, tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path / 'hits.db'}"
    store = open_store(where)
    with (
        Sink(MqttFeed(broker.broker(), SHARE), store) as sink,
        Outbox(tmp_path / "outbox.db") as outbox,
        Publisher(MqttTransport(broker.broker()), outbox, ADDRESS, FACTS) as agent,
    ):
        agent.publish(an_event(1))
        agent.publish(a_zone_event(1))
        agent.publish(a_zone_event(1, LEFT))
        eventually(lambda: [sink.turn(0.05), sink.stats.stored][1] == 3, 60)
    store.close()
    found = [(each.event.type, each.who) for each in read_events(where, ZoneQuery())]
    assert found == [("entered", "ana"), ("left", "ana")]


@pytest.mark.broker
def test_a_broker_whose_rules_are_older_costs_no_hit(tmp_path: Path) -> None:
    """It lets nobody write or read zones; `certs.py` was not run again since."""
    where = str(tmp_path / "hits.jsonl")
    store = open_store(where)
    with secured_mosquitto(tmp_path) as broker:
        rules = broker.pki / "acl"
        older = [line for line in rules.read_text().splitlines() if not line.endswith("/zone")]
        assert len(older) < len(rules.read_text().splitlines())
        rules.write_text("\n".join(older) + "\n")
        broker.restart()
        with (
            Sink(MqttFeed(broker.broker_for("archive"), SHARE), store) as sink,
            Outbox(tmp_path / "outbox.db") as outbox,
            Publisher(
                MqttTransport(broker.broker_for("gate-1")), outbox, ADDRESS, FACTS
            ) as publisher,
        ):
            for event in (an_event(1), a_zone_event(1), an_event(2, STRANGER)):
                publisher.publish(event)
            eventually(lambda: [sink.turn(0.05), sink.stats.stored][1] == 2, 60)
            eventually(lambda: "gate/zone" in publisher.state.reason, 60)
            assert outbox.figures.depth == 1, "it waits until it may be said"
    store.close()
    kinds = [json.loads(line)["schema"] for line in Path(where).read_text().splitlines()]
    assert kinds == ["edge-reid.hit/1", "edge-reid.unknown/1"]
