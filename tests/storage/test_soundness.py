"""A file that another program changes while it is looked at is not taken for a damaged one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge_reid.storage.database import Database, DatabaseKind
from edge_reid.storage.soundness import migrate, open_sound, sealed_transaction
from edge_reid.storage.sqlite import connect, made_beside, transaction

DOORS = DatabaseKind(
    noun="doors",
    application_id=0x65725858,
    migrations=(
        ("CREATE TABLE doors (number INTEGER PRIMARY KEY, name TEXT)",),
        ("CREATE TABLE keys (number INTEGER PRIMARY KEY, door INTEGER)",),
    ),
    keys={"doors": "number"},
    description="doors",
    if_other="give another path",
    if_damaged="make them anew",
)


@pytest.fixture
def file(tmp_path: Path) -> Database:
    file = Database(tmp_path / "doors.db", DOORS)
    with made_beside(file, 1.0) as db:
        migrate(db, DOORS)
    return file


@pytest.fixture
def other(file: Database) -> Iterator[sqlite3.Connection]:
    with closing(connect(file, 1.0)) as other:
        yield other


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What to call before each statement that reads, of whoever opens a file in `open_sound`."""
    calls: list[object] = []

    def traced(file: Database, busy_timeout_s: float) -> sqlite3.Connection:
        db = connect(file, busy_timeout_s)
        db.set_trace_callback(lambda said: [call() for call in calls if said.startswith("SELECT")])
        return db

    monkeypatch.setattr("edge_reid.storage.soundness.connect", traced)
    return calls


def test_a_row_more_between_any_two_statements(file, other, between):
    def add() -> None:
        with sealed_transaction(other, DOORS.keys):
            other.execute("INSERT INTO doors (name) VALUES ('front')")

    between.append(add)
    open_sound(file, 1.0).close()
    assert other.execute("SELECT count(*) FROM doors").fetchone()[0] > 2


def test_a_row_less_between_any_two_statements(file, other, between):
    with sealed_transaction(other, DOORS.keys):
        other.executemany("INSERT INTO doors VALUES (?, 'back')", [(n,) for n in range(30)])

    def remove() -> None:
        with sealed_transaction(other, DOORS.keys):
            other.execute("DELETE FROM doors WHERE number IN (SELECT max(number) FROM doors)")

    between.append(remove)
    open_sound(file, 1.0).close()
    assert other.execute("SELECT count(*) FROM doors").fetchone()[0] < 28


def test_a_file_that_another_program_brings_up_to_date(tmp_path, between):
    """It is refused as of the old format, or taken as of the new one; it is not damaged."""
    old = Database(tmp_path / "old.db", replace(DOORS, migrations=DOORS.migrations[:1]))
    with made_beside(old, 1.0) as db:
        migrate(db, old.kind)
    with closing(connect(old, 1.0)) as other:

        def catch_up() -> None:
            with transaction(other):
                migrate(other, DOORS)

        between.append(catch_up)
        open_sound(old, 1.0).close()
