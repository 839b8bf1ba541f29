"""Whether an SQLite file is ours, and what was written: its marks, its pages, its tables, its rows.

Where its format is an older one, `migrate` makes it today's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache

from edge_reid.storage.database import Database, DatabaseKind, Statements
from edge_reid.storage.row_checksums import Keys, check, is_due, is_kept, keep, marks, seal
from edge_reid.storage.sqlite import check_writable, closed_on_error, connect, transaction

_ONLY_ROW = "only_row"
"""Key of a table that has one row, from the moment that its file is made."""


def open_sound(
    file: Database, busy_timeout_s: float, *, is_to_change: bool = True
) -> sqlite3.Connection:
    """A connection to a file of today's format that is what was written, synced at every change.

    Args:
        file: that is there.
        busy_timeout_s: longest wait for other writers.
        is_to_change: whether anything will be; if not, it takes no lock that a change waits for. An
            erasure waits until it has read.

    Raises:
        EdgeReidError of the kind: it is of another kind, of a newer format, locked or damaged.
        sqlite3.Error: it is damaged.
    """
    with closed_on_error(connect(file, busy_timeout_s)) as connection:
        with at_one_moment(connection):
            check_ours(file, connection)
            check_sound(connection, sum(file.kind.migrations, ()), file.kind.keys)
            for table in (table for table, key in file.kind.keys.items() if key == _ONLY_ROW):
                if connection.execute(f"SELECT 1 FROM {table}").fetchone() is None:  # noqa: S608 - our names
                    raise file.damaged()
        if is_to_change:
            check_writable(file, connection)
            connection.execute("PRAGMA synchronous = FULL")
            seal_due(connection, file.kind.keys)
        else:
            connection.execute("PRAGMA query_only = ON")
    return connection


def at_one_moment(db: sqlite3.Connection) -> AbstractContextManager[None]:
    """A transaction that sees the file as it is at one moment, whoever changes it meanwhile.

    Without it a row that another program adds between two statements looks like damage.
    """
    return transaction(db, "DEFERRED")


def check_ours(file: Database, db: sqlite3.Connection) -> int:
    """The format of a file of our kind; to be called `at_one_moment`.

    Raises:
        EdgeReidError of the kind: it is of another kind, or of a newer format.
        sqlite3.DatabaseError: `malformed: …`, its marks are not those that it was made with.
    """
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    noted = marks(db)
    if noted is not None and noted != (application_id, version):
        raise sqlite3.DatabaseError(f"malformed: it was made as {noted}")
    if application_id != file.kind.application_id:
        raise file.of_another_kind()
    if version > file.kind.format:
        raise file.newer(version)
    return int(version)


def check_sound(db: sqlite3.Connection, made_by: Statements, keys: Keys) -> None:
    """Raise unless the file is as it was written; without checksums, as far as SQLite can tell.

    To be called `at_one_moment`.

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


def migrate(db: sqlite3.Connection, kind: DatabaseKind) -> None:
    """Bring the tables of a file up to date, checksums with them. The caller holds the transaction.

    An empty file becomes one of the kind.
    """
    (done,) = db.execute("PRAGMA user_version").fetchone()
    for statements in kind.migrations[done:]:
        for statement in statements:
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {kind.application_id}")
    db.execute(f"PRAGMA user_version = {kind.format}")
    if kind.keys:
        keep(db, kind.keys)
        seal(db, kind.keys)


@contextmanager
def sealed_transaction(db: sqlite3.Connection, keys: Keys) -> Iterator[None]:
    """A transaction whose rows have their checksums when it ends.

    Where the file has none yet, since it could not be written when it was opened, it goes without.
    """
    with transaction(db):
        yield
        if is_kept(db):
            seal(db, keys)


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
