"""Where a sink puts events: SQLite, PostgreSQL, JSON lines."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support import campus
from support.decided_tracks import STRANGER, an_event
from support.postgres import Postgres

from edge_reid.consumers.event_query import EventQuery
from edge_reid.consumers.event_store import (
    COLUMNS,
    TABLE,
    EventStore,
    RejectedEventError,
    StoreUnavailableError,
    row,
)
from edge_reid.consumers.lines_store import LinesStore
from edge_reid.consumers.sqlite_store import SqliteStore
from edge_reid.consumers.store_urls import open_store, read_events
from edge_reid.core.errors import StoreError, UsageError
from edge_reid.core.types import HitType
from edge_reid.wire.payloads import EventPayload

PICTURE = b"\x89PNG\r\n\x1a\n and no newline"
CLIP = campus.CLIP.read_bytes()[:4096]
EVENTS = [an_event(1).payload(1), an_event(2, STRANGER).payload(2), an_event(3).payload(3)]


@pytest.fixture(params=["sqlite", "postgres", "lines"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new and empty place of every kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hits.db'}"
    if request.param == "lines":
        return str(tmp_path / "hits.jsonl")
    return request.getfixturevalue("postgres").new_place()


def ids_in(where: str) -> list[str]:
    """Event ids that are there, read without our code."""
    if where.startswith("postgresql"):
        import psycopg

        with psycopg.connect(where) as db:
            found = db.execute("SELECT event_id FROM edge_reid_events ORDER BY seq")
            return [event_id for (event_id,) in found]
    if where.startswith("sqlite"):
        with sqlite3.connect(where.removeprefix("sqlite:///")) as db:
            found = db.execute("SELECT event_id FROM edge_reid_events ORDER BY seq").fetchall()
            assert db.execute("SELECT event_id FROM events ORDER BY seq").fetchall() == found
            return [event_id for (event_id,) in found]
    return [json.loads(line)["event_id"] for line in Path(where).read_text().splitlines()]


def test_events_are_there_once_however_often_they_come(where: str) -> None:
    store = open_store(where)
    assert store.write(EVENTS[:2]) == 2
    assert store.write(EVENTS) == 1
    store.close()
    store = open_store(where)
    assert store.write(EVENTS) == 0
    store.close()
    assert ids_in(where) == [event.event_id for event in EVENTS]


@pytest.mark.parametrize("name", ["hits.db", "hits.jsonl"])
def test_where_somebody_was_is_nobody_elses_business(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    where = f"sqlite:///{file}" if name.endswith(".db") else str(file)
    store = open_store(where)
    store.write(EVENTS)
    assert {it.stat().st_mode & 0o777 for it in tmp_path.iterdir()} == {0o600}
    store.close()
    file.chmod(0o640)
    store = open_store(where)
    store.write(EVENTS)
    store.close()
    assert file.stat().st_mode & 0o777 == 0o640, "whom its owner lets in stays in"


def test_a_hit_stands_there_as_it_was_sent(postgres: Postgres, tmp_path: Path) -> None:
    import psycopg

    hit = EVENTS[0]
    places = postgres.new_place(), f"sqlite:///{tmp_path / 'hits.db'}"
    for where in places:
        store = open_store(where)
        store.write([hit])
        store.close()
    query = f"SELECT {', '.join(COLUMNS[:-1])} FROM edge_reid_events"
    with psycopg.connect(places[0]) as db:
        db.execute("SET timezone = 'UTC'")
        found = db.execute(query).fetchone()  # type: ignore[arg-type]
    assert found is not None
    expected = row(hit)[:-1]
    for name, is_, should in zip(COLUMNS, found, expected, strict=False):
        told = f"{is_:%Y-%m-%dT%H:%M:%S.000Z}" if name.endswith(("_at", "_seen")) else is_
        should_be = should[:19] + ".000Z" if name.endswith(("_at", "_seen")) else should
        assert told == should_be, name
    with sqlite3.connect(tmp_path / "hits.db") as lite:
        assert lite.execute(query).fetchone() == expected


def test_a_correction_is_kept_with_what_it_takes_back(where: str) -> None:
    hit, nobody = an_event(1), an_event(2, STRANGER)
    correction = replace(
        an_event(1, type_=HitType.CORRECTION), corrects=hit.payload(1).event_id
    ).payload(3)
    store = open_store(where)
    assert store.write([hit.payload(1), nobody.payload(2), correction]) == 3
    store.close()
    asked = EventQuery(), EventQuery(last_of_tracks=True), EventQuery(who="ana", hits_only=True)
    every, last, of_ana = (read_events(where, query) for query in asked)
    assert every == [hit.payload(1), correction, nobody.payload(2)]
    assert last == [nobody.payload(2)], "who was taken back was not there"
    assert of_ana == [hit.payload(1), correction]


@pytest.mark.parametrize("zones", [None, (), ("desk",), ("desk", "door")])
def test_the_zones_of_an_event_are_kept(where: str, zones: tuple[str, ...] | None) -> None:
    event = damaged(EVENTS[0], zones=zones)
    store = open_store(where)
    assert store.write([event]) == 1
    store.close()
    assert read_events(where, EventQuery()) == [event]


def test_who_was_in_a_zone_is_asked_in_each_databases_own_words(
    postgres: Postgres, tmp_path: Path
) -> None:
    import psycopg

    at_desk = damaged(EVENTS[0], zones=("desk", "door"))
    at_door = damaged(EVENTS[2], zones=("door",))
    places = postgres.new_place(), f"sqlite:///{tmp_path / 'hits.db'}"
    for where in places:
        store = open_store(where)
        store.write([at_desk, EVENTS[1], at_door])
        store.close()
    with psycopg.connect(places[0]) as db:
        found = db.execute("SELECT seq FROM edge_reid_events WHERE 'desk' = ANY (zones)").fetchall()
    with sqlite3.connect(tmp_path / "hits.db") as lite:
        same = lite.execute(
            "SELECT seq FROM edge_reid_events, json_each(zones) WHERE json_each.value = 'desk'"
        ).fetchall()
    assert found == same == [(1,)]


def older(where: str) -> None:
    """Bring an SQLite file back to what the first edge-reid made."""
    with sqlite3.connect(where.removeprefix("sqlite:///")) as lite:
        lite.execute("DROP VIEW events")
        lite.execute("DROP TABLE edge_reid_zone_events")
        lite.execute("DROP INDEX events_by_track")
        lite.execute("ALTER TABLE edge_reid_events RENAME TO events")
        lite.execute("DROP INDEX events_by_stranger")
        lite.execute("ALTER TABLE events DROP COLUMN stranger")
        lite.execute("ALTER TABLE events DROP COLUMN continues")
        lite.execute("ALTER TABLE events DROP COLUMN corrects")
        lite.execute("ALTER TABLE events DROP COLUMN zones")
        lite.execute("PRAGMA user_version = 1")


def test_events_of_an_older_table_stay_and_strangers_have_their_column(
    tmp_path: Path,
) -> None:
    named = damaged(EVENTS[1], stranger="anon-3fa2c1-12")
    where = f"sqlite:///{tmp_path / 'hits.db'}"
    store = open_store(where)
    store.write(EVENTS[:1])
    store.close()
    older(where)
    store = open_store(where)
    assert store.write([EVENTS[0], named]) == 1
    store.close()
    with sqlite3.connect(tmp_path / "hits.db") as lite:
        found = lite.execute("SELECT stranger FROM edge_reid_events ORDER BY seq").fetchall()
    assert found == [(None,), ("anon-3fa2c1-12",)]


def test_what_a_table_holds_is_described() -> None:
    """Column by column, in the README for whoever reads the table."""
    readme = (Path(__file__).parents[2] / "deploy" / "broker" / "README.md").read_text()
    described = readme.split("## What a sink keeps")[1].split("\n## ")[0]
    assert TABLE in described
    assert [name for name in COLUMNS if f"`{name}`" not in described] == []


def damaged(event: EventPayload, **changes: object) -> EventPayload:
    """One that no parser lets through: a store is safe by itself."""
    return event.model_copy(update=changes)


@pytest.mark.parametrize("changes", [{"track_id": 2**70}])
def test_what_does_not_fit_a_database_is_refused_and_nothing_is_half_there(
    postgres: Postgres, tmp_path: Path, changes: dict[str, object]
) -> None:
    odd = damaged(EVENTS[1], **changes)
    for where in (postgres.new_place(), f"sqlite:///{tmp_path / 'hits.db'}"):
        store = open_store(where)
        with pytest.raises(RejectedEventError):
            store.write([EVENTS[0], odd, EVENTS[2]])
        assert ids_in(where) == []
        assert store.write([EVENTS[0]]) == 1
        store.close()


@pytest.mark.parametrize(
    "changes", [{"identity": "an\0a"}, {"decided_at": "2026-13-01T00:00:00.000Z"}]
)
def test_what_postgres_alone_cannot_hold_is_refused_too(
    postgres: Postgres, changes: dict[str, object]
) -> None:
    store = open_store(postgres.new_place())
    with pytest.raises(RejectedEventError):
        store.write([damaged(EVENTS[0], **changes)])
    assert store.write([EVENTS[0]]) == 1
    store.close()


def test_a_database_that_was_restarted_is_found_again(postgres: Postgres) -> None:
    where = postgres.new_place()
    store = open_store(where)
    store.write(EVENTS[:1])
    postgres.crash()
    with pytest.raises(StoreUnavailableError):
        store.write(EVENTS)
    with pytest.raises(StoreUnavailableError):  # and it is still away
        store.write(EVENTS)
    postgres.start()
    assert store.write(EVENTS) == 2
    store.close()
    assert len(ids_in(where)) == 3


def test_several_sinks_that_start_at_once_make_one_table(postgres: Postgres) -> None:
    from concurrent.futures import ThreadPoolExecutor

    where = postgres.new_place()

    def store_all(_: int) -> int:
        store = open_store(where)
        try:
            return store.write(EVENTS)
        finally:
            store.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(store_all, range(4))) == len(EVENTS)


def newer_sqlite(path: Path) -> str:
    SqliteStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    return f"sqlite:///{path}"


def other_sqlite(path: Path) -> str:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE people (name TEXT)")
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (newer_sqlite, "expected format 7 or older, got 99, written by a newer edge-reid"),
        (other_sqlite, "the events of a sink, got another kind of file; give another file"),
        (lambda path: f"sqlite:///{path / 'no' / 'folder.db'}", "cannot be opened"),
        (lambda path: f"{path / 'no' / 'folder.jsonl'}", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_used_is_said(
    tmp_path: Path, make: Callable[[Path], str], complaint: str
) -> None:
    with pytest.raises(StoreError, match=complaint):
        open_store(make(tmp_path / "hits"))


def test_newer_tables_in_postgres_are_not_touched(postgres: Postgres) -> None:
    import psycopg

    where = postgres.new_place()
    open_store(where).close()
    with psycopg.connect(where) as db:
        db.execute("UPDATE edge_reid_schema SET version = 99")
    with pytest.raises(StoreError, match="expected tables of version 6, got 99"):
        open_store(where)


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        (
            "hits.csv",
            "postgresql://HOST/DATABASE, https://HOST/PATH, FILE.jsonl or -",
        ),
        ("postgresql://me:s3cret@host/db", "should hold no password"),
        ("postgresql://me@host/db?password=s3cret", "should hold no password"),
        ("postgresql://me@host/db?nonsense=1", "is no PostgreSQL URL"),
    ],
)
def test_a_place_that_is_none_is_a_usage_error_without_the_secret(
    where: str, complaint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(where)
    assert complaint in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_line_that_a_kill_left_half_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "hits.jsonl"
    whole = EVENTS[0].to_json() + "\n"
    path.write_text(whole + EVENTS[1].to_json()[:40])
    store: EventStore = LinesStore(path)
    assert store.write(EVENTS[:2]) == 1
    store.close()
    assert path.read_text() == whole + EVENTS[1].to_json() + "\n"


@pytest.mark.parametrize("content", [PICTURE, CLIP], ids=["picture", "clip"])
def test_a_file_of_another_kind_is_not_cut_off(tmp_path: Path, content: bytes) -> None:
    """What comes after its last newline is no line that a kill left unfinished."""
    path = tmp_path / "holiday.jsonl"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="expected lines of JSON, got another kind of file; give"):
        LinesStore(path)
    assert path.read_bytes() == content


def test_a_whole_event_without_its_line_end_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "hits.jsonl"
    path.write_text(EVENTS[0].to_json())
    store: EventStore = LinesStore(path)
    assert store.write(EVENTS[:2]) == 1
    store.close()
    assert path.read_text() == "".join(event.to_json() + "\n" for event in EVENTS[:2])


def test_the_last_line_may_lack_its_end_but_not_its_event(tmp_path: Path) -> None:
    """Editors, and programs in a pipe, leave the line end out; a kill leaves half an event."""
    path = tmp_path / "hits.jsonl"
    path.write_text("\n".join(event.to_json() for event in EVENTS[:2]))
    assert len(read_events(str(path), EventQuery())) == 2
    path.write_text(path.read_text()[:-40])
    assert len(read_events(str(path), EventQuery())) == 1


def test_a_large_file_is_read_on_in_large_pieces(tmp_path: Path) -> None:
    path = tmp_path / "hits.jsonl"
    path.write_bytes((b'{"of": "somebody else", "text": "' + b"x" * 10_000 + b'"}\n') * 500)
    began_s = time.process_time()
    LinesStore(path).close()
    assert time.process_time() - began_s < 0.5  # byte by byte it takes more than a second


def test_two_sinks_do_not_write_one_file(tmp_path: Path) -> None:
    store = LinesStore(tmp_path / "hits.jsonl")
    with pytest.raises(StoreError, match="another sink writes it"):
        LinesStore(tmp_path / "hits.jsonl")
    store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is a device of Linux")
def test_a_full_disk_leaves_no_half_line_and_is_tried_again(tmp_path: Path) -> None:
    import os

    store = LinesStore(tmp_path / "hits.jsonl")
    good = os.dup(store._file.fileno())
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, store._file.fileno())
    with pytest.raises(StoreUnavailableError, match="No space left"):
        store.write(EVENTS)
    os.dup2(good, store._file.fileno())
    assert store.write(EVENTS) == 3
    store.close()
    for descriptor in (good, full):
        os.close(descriptor)
