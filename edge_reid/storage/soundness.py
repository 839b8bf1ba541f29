"""Whether an SQLite file of ours is what was written: its pages, its tables and its rows."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from functools import cache

from edge_reid.storage.row_checksums import Keys, check, is_due, is_kept, keep, marks, seal
from edge_reid.storage.sqlite import transaction

Statements = tuple[str, ...]
"""What makes the tables of a file, in order."""


def check_marks(db: sqlite3.Connection, application_id: int, version: int) -> None:
    """Nothing, if what the file says to be is what it was made as, as far as that was noted.

    Raises:
        sqlite3.DatabaseError: `malformed: …`.
    """
    noted = marks(db)
    if noted is not None and noted != (application_id, version):
        raise sqlite3.DatabaseError(f"malformed: it was made as {noted}")


def check_sound(db: sqlite3.Connection, made_by: Statements, keys: Keys) -> None:
    """Nothing, if the file is as it was written; one without checksums as far as SQLite can tell.

    Args:
        db: open on the file.
        made_by: what made its tables.
        keys: what tells the rows apart of those tables of them that have checksums.

    Raises:
        sqlite3.DatabaseError: `malformed: …`, or what SQLite says.
    """
    (finding,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(f"malformed: {finding}")
    if db.execute("PRAGMA auto_vacuum").fetchone() != (0,):
        raise sqlite3.DatabaseError("malformed: none of our files shrinks by itself")
    found = _objects(db)
    for name, text in _objects_made_by(made_by).items():
        if name not in found or found[name] != text:
            raise sqlite3.DatabaseError(f"malformed: {name} is not what was written")
    if is_kept(db):
        check(db, keys)


def seal_due(db: sqlite3.Connection, keys: Keys) -> None:
    """Compute the checksums that an older release left due, unless the file is busy: whoever opens
    it next can do that as well.
    """
    if is_due(db, keys):
        with suppress(sqlite3.OperationalError), transaction(db):
            keep(db, keys)
            seal(db, keys)


@cache
def _objects_made_by(statements: Statements) -> dict[str, str | None]:
    db = sqlite3.connect(":memory:")
    for statement in statements:
        if statement.lstrip().startswith("CREATE"):
            db.execute(statement)
    found = _objects(db)
    db.close()
    return found


def _objects(db: sqlite3.Connection) -> dict[str, str | None]:
    return dict(db.execute("SELECT name, sql FROM main.sqlite_master"))
