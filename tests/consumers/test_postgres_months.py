"""A sink's PostgreSQL, month by month: where events lie, what is dropped, older tables."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import psycopg
import pytest
from support.decided_tracks import STRANGER, a_zone_event, an_event
from support.event_tables import COLUMNS_0_5, make_tables_0_5, partitions
from support.postgres import Postgres

from edge_reid.consumers import postgres_months
from edge_reid.consumers.event_query import EventQuery
from edge_reid.consumers.event_store import EventStore, StoreUnavailableError
from edge_reid.consumers.postgres_months import Month
from edge_reid.consumers.store_urls import open_store, read_events
from edge_reid.core.errors import StoreError
from edge_reid.core.types import HitType, Known
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import EventPayload

DAY_S = 86_400.0
NOW_S = time.time()
THIS_MONTH = Month.at(NOW_S)


def decided(seq: int, utc_s: float, **changes: object) -> EventPayload:
    """An event of a track of its own."""
    fields = {"decided_at": rfc3339(utc_s), "event_id": f"event {seq}", **changes}
    return an_event(seq).payload(seq).model_copy(update=fields)


def mid(month: Month, day: int = 15) -> float:
    return month.begins_at.timestamp() + (day - 1) * DAY_S


def write(where: str, *events: EventPayload) -> EventStore:
    store = open_store(where)
    store.write(events)
    return store


def numbers(where: str) -> list[int]:
    return [event.seq for event in read_events(where, EventQuery())]


def test_every_month_has_a_partition_and_far_away_times_share_one(postgres: Postgres) -> None:
    where = postgres.new_place()
    last, before = THIS_MONTH.plus(-1), THIS_MONTH.plus(-2)
    write(
        where,
        decided(1, mid(before)),
        decided(2, last.begins_at.timestamp()),
        decided(3, last.next.begins_at.timestamp() - 0.001),
        decided(4, NOW_S),
        decided(5, 0.0),
        decided(6, NOW_S + 400 * DAY_S),
    ).close()
    assert partitions(where) == {
        before.table: [1],
        last.table: [2, 3],
        THIS_MONTH.table: [4],
        "edge_reid_events_other": [5, 6],
    }
    assert numbers(where) == [5, 1, 2, 3, 4, 6]


def test_what_lay_elsewhere_moves_into_its_month(postgres: Postgres) -> None:
    where = postgres.new_place()
    store = write(where, decided(1, NOW_S))
    with psycopg.connect(where) as db:  # as when another sink has dropped the month
        db.execute(f"DROP TABLE {THIS_MONTH.table}")
    store.write([decided(2, NOW_S)])
    store.close()
    assert partitions(where) == {"edge_reid_events_other": [2]}
    write(where, decided(3, NOW_S)).close()
    assert partitions(where) == {"edge_reid_events_other": [], THIS_MONTH.table: [2, 3]}


def test_sinks_that_need_a_month_at_once_make_it_once(postgres: Postgres) -> None:
    where = postgres.new_place()
    stores = [open_store(where) for _ in range(4)]
    events = [decided(seq, NOW_S - seq * 20 * DAY_S) for seq in range(1, 13)]
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda store: store.write(events), stores)) == len(events)
    for store in stores:
        store.close()
    assert sorted(seq for found in partitions(where).values() for seq in found) == [*range(1, 13)]


def test_old_months_are_dropped_and_the_day_of_the_limit_is_kept(postgres: Postgres) -> None:
    where, cut = postgres.new_place(), THIS_MONTH.plus(-2)
    limit_s = mid(cut)
    store = write(
        where,
        decided(1, mid(cut.plus(-1))),
        decided(2, limit_s - 1),
        decided(3, limit_s),
        decided(4, NOW_S),
        decided(5, 0.0),
    )
    store.expire(limit_s)
    assert partitions(where) == {
        cut.table: [3],
        THIS_MONTH.table: [4],
        "edge_reid_events_other": [5],
    }, "a clock that is wrong ages nothing"
    assert store.write([decided(6, mid(cut.plus(-1)))]) == 1, "it comes late, and goes next time"
    store.expire(time.time() + 1)
    store.close()
    assert numbers(where) == []


def test_a_file_forgets_the_same(tmp_path: Path) -> None:
    where, limit_s = f"sqlite:///{tmp_path / 'hits.db'}", NOW_S - 90 * DAY_S
    store = write(
        where,
        *(decided(1, limit_s - 1), decided(2, limit_s + 1), decided(3, NOW_S), decided(4, 0.0)),
    )
    store.expire(limit_s)
    assert numbers(where) == [4, 2, 3]
    store.expire(time.time() + 1)
    store.close()
    assert numbers(where) == []


def test_a_month_that_somebody_reads_is_dropped_another_time(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_months, "LOCK_TIMEOUT_MS", 50)
    where = postgres.new_place()
    store = write(where, decided(1, mid(THIS_MONTH.plus(-3))))
    with psycopg.connect(where) as reader:
        reader.execute("SELECT count(*) FROM edge_reid_events")
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            store.expire(NOW_S - 30 * DAY_S)
        assert store.write([decided(2, NOW_S)]) == 1
        assert THIS_MONTH.table not in partitions(where)
    store.expire(NOW_S - 30 * DAY_S)
    store.close()
    assert numbers(where) == [2]
    write(where, decided(3, NOW_S)).close()
    assert partitions(where)[THIS_MONTH.table] == [2, 3]


def test_a_role_that_may_only_write_stores_all_the_same(postgres: Postgres) -> None:
    where = postgres.new_place()
    schema = where.split("%3D")[-1]
    open_store(where).close()
    with psycopg.connect(where) as db:
        db.execute(f"CREATE ROLE writer_{schema} LOGIN")
        db.execute(f"GRANT USAGE ON SCHEMA {schema} TO writer_{schema}")
        db.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO writer_{schema}")
    store = open_store(where.replace("reid@", f"writer_{schema}@"))
    assert store.write([decided(1, NOW_S), a_zone_event(1).payload(2)]) == 2
    store.close()
    assert partitions(where) == {"edge_reid_events_other": [1]}


@pytest.mark.parametrize(("there", "version"), [(False, 0), (True, 2)])
def test_a_role_that_may_make_no_tables_is_told_who_should(
    postgres: Postgres, there: bool, version: int
) -> None:
    where = postgres.new_place()
    schema = where.split("%3D")[-1]
    if there:
        make_tables_0_5(where, decided(1, NOW_S))
    with psycopg.connect(where) as db:
        db.execute(f"CREATE ROLE writer_{schema} LOGIN")
        db.execute(f"GRANT USAGE ON SCHEMA {schema} TO writer_{schema}")
        db.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO writer_{schema}")
    expected = rf"expected tables of version \d+, got {version}, .* start a sink once with a role"
    with pytest.raises(StoreError, match=expected):
        open_store(where.replace("reid@", f"writer_{schema}@"))


def test_a_table_of_an_older_release_is_split_and_nothing_is_lost(postgres: Postgres) -> None:
    where, last = postgres.new_place(), THIS_MONTH.plus(-1)
    schema = where.split("%3D")[-1]
    events = [
        *(decided(1, mid(last)), decided(2, mid(last, 2)), decided(3, NOW_S), decided(4, 0.0)),
        decided(5, NOW_S, identity=None, stranger="anon-3fa2c1-12", kind="unknown"),
    ]
    make_tables_0_5(where, *events)
    told = ", ".join(COLUMNS_0_5)
    with psycopg.connect(where) as db:
        db.execute(f"CREATE ROLE analyst_{schema} LOGIN")
        db.execute(f"GRANT USAGE ON SCHEMA {schema} TO analyst_{schema}")
        db.execute(f"GRANT SELECT ON edge_reid_events TO analyst_{schema}")
        before = db.execute(f"SELECT {told} FROM edge_reid_events ORDER BY seq").fetchall()
    store = open_store(where)
    assert store.write([*events, decided(6, NOW_S)]) == 1
    store.close()
    found = partitions(where)
    assert found.pop(THIS_MONTH.table) == [3, 5, 6]
    assert found == {last.table: [1, 2], "edge_reid_events_other": [4]}
    with psycopg.connect(where.replace("reid@", f"analyst_{schema}@")) as db:
        after = db.execute(
            f"SELECT {told} FROM edge_reid_events WHERE seq < 6 ORDER BY seq"
        ).fetchall()
    assert after == before


def test_somebodys_own_column_stays_with_what_is_in_it(postgres: Postgres) -> None:
    where = postgres.new_place()
    make_tables_0_5(where, decided(1, NOW_S), decided(2, 0.0))
    with psycopg.connect(where) as db:
        db.execute("ALTER TABLE edge_reid_events ADD COLUMN note text NOT NULL DEFAULT 'none'")
        db.execute("UPDATE edge_reid_events SET note = 'let her in' WHERE seq = 1")
    write(where, decided(3, NOW_S)).close()
    with psycopg.connect(where) as db:
        notes = db.execute("SELECT seq, note FROM edge_reid_events ORDER BY seq").fetchall()
    assert notes == [(1, "let her in"), (2, "none"), (3, "none")]


def test_the_first_table_of_all_becomes_what_it_is_today(postgres: Postgres) -> None:
    where = postgres.new_place()
    make_tables_0_5(where, decided(1, NOW_S))
    with psycopg.connect(where) as db:
        db.execute("ALTER TABLE edge_reid_events DROP COLUMN stranger")
        db.execute("UPDATE edge_reid_schema SET version = 1")
    write(where, decided(2, NOW_S)).close()
    assert partitions(where)[THIS_MONTH.table] == [1, 2]


def test_somebodys_own_view_is_in_the_way_and_nothing_is_changed(postgres: Postgres) -> None:
    where = postgres.new_place()
    make_tables_0_5(where, decided(1, NOW_S))
    with psycopg.connect(where) as db:
        db.execute("CREATE VIEW mine AS SELECT seq FROM edge_reid_events")
    with pytest.raises(StoreError, match="view mine depends on .* drop that"):
        open_store(where)
    with psycopg.connect(where) as db:
        assert db.execute("SELECT seq FROM mine").fetchall() == [(1,)]
        db.execute("DROP VIEW mine")
    open_store(where).close()
    assert partitions(where)[THIS_MONTH.table] == [1]


def test_who_was_where_since_when_reads_an_index_of_the_months_in_question(
    postgres: Postgres,
) -> None:
    where = postgres.new_place()
    write(where, *(decided(seq, mid(THIS_MONTH.plus(-seq))) for seq in range(1, 9))).close()
    since_s = THIS_MONTH.plus(-2).begins_at.timestamp()
    sql, parameters = EventQuery(who="ana", since_utc_s=since_s, last_of_tracks=True).select("%s")
    with psycopg.connect(where) as db:
        db.execute("SET enable_seqscan = off")
        plan = "\n".join(line for (line,) in db.execute(f"EXPLAIN {sql}".encode(), parameters))
    scanned = set(re.findall(r"on (edge_reid_events_\w+) event", plan))
    assert THIS_MONTH.plus(-2).table in scanned
    assert THIS_MONTH.plus(-3).table not in scanned
    assert "identity" in plan


ZOE = Known("zoe", 0.9, 0.6, 0.3, 5)


def test_views_tell_visits_last_places_and_hours(postgres: Postgres) -> None:
    where = postgres.new_place()
    new, end = an_event(1).payload(1), an_event(1, type_=HitType.END).payload(2)
    end = end.model_copy(update={"decided_at": "1970-01-01T00:00:09.000Z", "similarity": 0.9})
    later = an_event(30).payload(3).model_copy(update={"camera": "yard", "continues": 29})
    unknown = an_event(40, STRANGER).payload(4)
    wrong, taken_back = (an_event(50, ZOE, kind) for kind in (HitType.NEW, HitType.CORRECTION))
    write(where, new, end, later, unknown, wrong.payload(5), taken_back.payload(6)).close()
    with psycopg.connect(where) as db:
        db.execute("SET timezone = 'UTC'")
        visits = db.execute(
            "SELECT camera, visit, identity, similarity, is_over, duration::text"
            " FROM edge_reid_visits ORDER BY first_seen"
        ).fetchall()
        places = db.execute("SELECT identity, camera FROM edge_reid_last_seen").fetchall()
        hours = db.execute(
            "SELECT hour, camera, visits, visits_known, people FROM edge_reid_hours ORDER BY camera"
        ).fetchall()
    assert visits == [
        ("gate", 1, "ana", 0.9, True, "00:00:02"),
        ("yard", 29, "ana", 0.8123, False, "00:00:02"),
        ("gate", 40, None, 0.41, False, "00:00:02"),
        ("gate", 50, None, 0.9, False, "00:00:02"),
    ]
    assert places == [("ana", "yard")]
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert hours == [(epoch, "gate", 3, 1, 1), (epoch, "yard", 1, 1, 1)]


def test_the_columns_of_the_views_are_described(postgres: Postgres) -> None:
    where = postgres.new_place()
    open_store(where).close()
    readme = (Path(__file__).parents[2] / "deploy" / "broker" / "README.md").read_text()
    described = readme.split("## What a sink keeps")[1].split("\n## ")[0]
    with psycopg.connect(where) as db:
        columns = db.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " JOIN information_schema.views USING (table_schema, table_name)"
            " WHERE table_schema = current_schema()"
        ).fetchall()
    assert {view for view, _ in columns} == {
        *("edge_reid_visits", "edge_reid_last_seen", "edge_reid_hours")
    }
    assert [names for names in columns if not all(f"`{name}`" in described for name in names)] == []
