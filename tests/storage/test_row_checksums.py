"""Rows of a file that are what was written, and files that an older edge-reid goes on with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from edge_reid.storage.row_checksums import check, checksum, is_due, keep, reset, seal

KEYS = {"people": "number", "places": "name"}


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """Two tables, with rows from before there were checksums."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute("CREATE TABLE people (number INTEGER PRIMARY KEY, name TEXT, likes BLOB)")
        opened.execute("CREATE TABLE places (name TEXT PRIMARY KEY, at REAL) WITHOUT ROWID")
        opened.execute("INSERT INTO people VALUES (1, 'ana', x'00ff'), (2, 'zoe', NULL)")
        opened.execute("INSERT INTO places VALUES ('gate', 0.1)")
        keep(opened, KEYS)
        seal(opened, KEYS)
        yield opened


def behind_its_back(db: sqlite3.Connection, statement: str) -> None:
    """As a disk changes a row: no trigger hears of it."""
    (text,) = db.execute(
        "SELECT group_concat(sql, ';') FROM sqlite_master WHERE type = 'trigger'"
    ).fetchone()
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    db.execute(statement)
    db.executescript(text.replace("END;", "END;\n") + ";")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE people SET name = 'anb' WHERE number = 1",
        "UPDATE people SET likes = x'00fe' WHERE number = 1",
        "UPDATE people SET likes = '' WHERE number = 2",
        "UPDATE people SET number = 3 WHERE number = 2",
        "UPDATE places SET at = 0.10000000000000002",
        "DELETE FROM people WHERE number = 2",
        "INSERT INTO people VALUES (3, 'emil', NULL)",
        "UPDATE row_checksums SET crc32 = crc32 + 1 WHERE row_key = 1",
        "DELETE FROM row_checksums WHERE row_key = 1",
    ],
)
def test_what_a_disk_changes_is_noticed(db: sqlite3.Connection, statement: str) -> None:
    check(db, KEYS)
    behind_its_back(db, statement)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        check(db, KEYS)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE people SET name = 'anb' WHERE number = 1",
        "UPDATE OR IGNORE people SET name = 'anb'",
        "INSERT OR REPLACE INTO people VALUES (1, 'ana maria', NULL)",
        "INSERT OR IGNORE INTO people VALUES (1, 'ana maria', NULL), (3, 'emil', NULL)",
        "INSERT OR REPLACE INTO places VALUES ('gate', 0.2), ('yard', 0.3)",
        "DELETE FROM people",
    ],
)
def test_an_older_edge_reid_can_go_on_with_the_file(db: sqlite3.Connection, statement: str) -> None:
    db.execute(statement)
    check(db, KEYS)
    seal(db, KEYS)
    check(db, KEYS)
    assert not is_due(db, KEYS)


def test_what_is_due_is_known(db: sqlite3.Connection) -> None:
    assert not is_due(db, KEYS)
    db.execute("UPDATE places SET at = 0.2")
    assert is_due(db, KEYS)
    seal(db, KEYS)
    assert not is_due(db, KEYS)
    db.execute("ALTER TABLE people ADD COLUMN age INTEGER")
    reset(db, "people")
    check(db, KEYS)
    seal(db, KEYS)
    check(db, KEYS)


def test_a_checksum_tells_types_and_columns_apart() -> None:
    rows = [
        (1,),
        ("1",),
        (1.0,),
        (b"1",),
        (None,),
        ("",),
        (b"",),
        (1, 1),
        (11,),
        ("a", "b"),
        ("ab",),
    ]
    assert len({checksum(row) for row in rows}) == len(rows)
