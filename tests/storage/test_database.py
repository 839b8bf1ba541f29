"""A file is named as what it is, whatever is wrong with it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from edge_reid.consumers.sqlite_store import EVENTS
from edge_reid.core.errors import EdgeReidError
from edge_reid.delivery.outbox_file import OUTBOX
from edge_reid.gallery.gallery_tables import GALLERY
from edge_reid.gallery.replica_file import REPLICA
from edge_reid.storage.database import Database, DatabaseKind
from edge_reid.storage.soundness import check_ours, migrate
from edge_reid.storage.sqlite import made_beside, transaction
from edge_reid.strangers.stranger_file import STRANGERS

KINDS = [GALLERY, REPLICA, STRANGERS, OUTBOX, EVENTS]


def made(path: Path, kind: DatabaseKind) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    with transaction(db):
        migrate(db, kind)
    return db


def test_no_two_kinds_have_a_name_or_a_mark_in_common() -> None:
    assert len({kind.noun for kind in KINDS}) == len(KINDS)
    assert len({kind.application_id for kind in KINDS}) == len(KINDS)
    assert all(kind.application_id.to_bytes(4, "big")[:2].lower() == b"er" for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_whatever_sqlite_says_is_said_of_the_thing(tmp_path: Path, kind: DatabaseKind) -> None:
    file = Database(tmp_path / "a.db", kind)
    said = [
        *("database is locked", "database or disk is full", "unable to open database file"),
        *("attempt to write a readonly database", "database disk image is malformed", "what?"),
        "file is not a database",
    ]
    for words in said:
        with pytest.raises(EdgeReidError, match=f"^{kind.noun} {file.path}: "), file.explained():
            raise sqlite3.OperationalError(words)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_it_is_known_for_ours_and_others_are_not(tmp_path: Path, kind: DatabaseKind) -> None:
    file = Database(tmp_path / "a.db", kind)
    with closing(made(file.path, kind)) as db:
        assert check_ours(file, db) == kind.format
    for other in (other for other in KINDS if other is not kind):
        elsewhere = Database(tmp_path / f"{other.noun}.db", kind)
        with (
            closing(made(elsewhere.path, other)) as db,
            pytest.raises(kind.error, match=f"expected {kind.description}, got another kind"),
        ):
            check_ours(elsewhere, db)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_what_fails_in_a_transaction_leaves_nothing(tmp_path: Path, kind: DatabaseKind) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as db:
        with pytest.raises(KeyboardInterrupt):
            interrupted(db, kind)
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        assert not db.in_transaction


def interrupted(db: sqlite3.Connection, kind: DatabaseKind) -> None:
    with transaction(db):
        migrate(db, kind)
        raise KeyboardInterrupt


def test_of_two_threads_that_make_a_file_at_once_the_quicker_ones_stays(tmp_path: Path) -> None:
    file = Database(tmp_path / "a.db", STRANGERS)
    with made_beside(file, 1.0) as slower:
        migrate(slower, STRANGERS)
        quicker = threading.Thread(target=_make, args=(file, 7))
        quicker.start()
        quicker.join()
    with closing(sqlite3.connect(file.path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (7,)
    assert [*tmp_path.iterdir()] == [file.path]


def _make(file: Database, version: int) -> None:
    with made_beside(file, 1.0) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
