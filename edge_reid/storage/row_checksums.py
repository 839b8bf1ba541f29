"""A checksum for every row of some tables of an SQLite file, in that same file.

SQLite knows when a page makes no sense, not when a disk has made another name or another number of
what was written. Triggers in the file note of every row that changes that its checksum is due;
`seal` computes what is due before a transaction ends, `check` compares all. A release that knows
nothing of this can go on with the file: it leaves checksums due, never wrong ones, and they are
computed when a release that does opens it again.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import cache

Keys = Mapping[str, str]
"""What tells the rows of a table apart, by table: an expression of its columns that never change.

A migration that changes the columns of a table calls `reset`.
"""

_NAME = "row_checksums"
_TABLE = """CREATE TABLE IF NOT EXISTS row_checksums (
    owner TEXT NOT NULL,  -- table; '' for the marks of the file itself
    row_key NOT NULL,
    crc32 INTEGER,  -- NULL: due
    PRIMARY KEY (owner, row_key)
) WITHOUT ROWID"""
_DUE = """CREATE INDEX IF NOT EXISTS row_checksums_due ON row_checksums (owner, row_key)
    WHERE crc32 IS NULL"""
_MARKS = ("application_id", "user_version")


def keep(db: sqlite3.Connection, keys: Keys) -> None:
    """Keep checksums from now on, also of the rows that are there; those are due.

    The caller holds the transaction. Where they are kept already, nothing is written.
    """
    known = _objects(db)
    if not _expected(_as_items(keys)).keys() <= known.keys():
        for statement in (_TABLE, _DUE):
            db.execute(statement)
        for table, key in keys.items():
            if f"{table}_row_entered" not in known:
                _adopt(db, table, key)
    _note_marks(db)


def is_kept(db: sqlite3.Connection) -> bool:
    """Whether the file has checksums at all."""
    return "row_checksums" in _objects(db)


def is_due(db: sqlite3.Connection, keys: Keys) -> bool:
    """Whether `keep` or `seal` has something to do."""
    if not is_kept(db) or marks(db) != _marks_now(db):
        return True
    due = db.execute("SELECT 1 FROM row_checksums WHERE crc32 IS NULL LIMIT 1").fetchone()
    return due is not None or not _expected(_as_items(keys)).keys() <= _objects(db).keys()


def seal(db: sqlite3.Connection, keys: Keys) -> None:
    """Compute what is due. The caller holds the transaction."""
    for table, key in keys.items():
        rows = db.execute(
            f"SELECT row_key, {table}.* FROM {table} JOIN row_checksums "  # noqa: S608 - our names
            f"ON owner = ? AND row_key = {key} WHERE crc32 IS NULL",
            (table,),
        )
        computed = [(checksum(row[1:]), table, row[0]) for row in rows]
        db.executemany(
            "UPDATE row_checksums SET crc32 = ? WHERE owner = ? AND row_key = ?", computed
        )


def check(db: sqlite3.Connection, keys: Keys) -> None:
    """Nothing, if every row is what was written, none is gone and none has come by itself.

    Raises:
        sqlite3.DatabaseError: `malformed: …`.
    """
    found = _objects(db)
    for name, text in _expected(_as_items(keys)).items():
        if found.get(name) != text:
            raise sqlite3.DatabaseError(f"malformed: {name} is not what was written")
    for table, key in keys.items():
        check_table(db, table, key)


def check_table(db: sqlite3.Connection, table: str, key: str) -> None:
    """As `check`, of one table whatever the others are."""
    rows = db.execute(
        f"SELECT row_key IS NULL, crc32, {table}.* FROM {table} "  # noqa: S608 - our names
        f"LEFT JOIN row_checksums ON owner = ? AND row_key = +({key})",  # `+`: by its index
        (table,),
    )
    count = 0
    with closing(rows):  # who hears of damage would keep it open, and so the file from a wipe
        for is_missing, crc, *row in rows:
            count += 1
            if is_missing or (crc is not None and crc != checksum(row)):
                raise sqlite3.DatabaseError(f"malformed: a row of {table} is not what was written")
    expected = db.execute("SELECT count(*) FROM row_checksums WHERE owner = ?", (table,))
    if expected.fetchone() != (count,):
        raise sqlite3.DatabaseError(f"malformed: a row of {table} is gone")


def reset(db: sqlite3.Connection, table: str) -> None:
    """All checksums of a table are due again: its columns are others now."""
    db.execute("UPDATE row_checksums SET crc32 = NULL WHERE owner = ?", (table,))


def marks(db: sqlite3.Connection) -> tuple[int, int] | None:
    """`application_id` and `user_version` as they were noted; None where they are not."""
    try:
        found = dict(db.execute("SELECT row_key, crc32 FROM row_checksums WHERE owner = ''"))
        return int(found[_MARKS[0]]), int(found[_MARKS[1]])
    except (sqlite3.Error, KeyError, TypeError, ValueError):
        return None


def checksum(row: Iterable[object]) -> int:
    """CRC-32 of a row's values and their types: no change of up to 32 bits beside each other, so
    none of a single bit, leaves it as it is.
    """
    crc = 0
    for value in row:
        if isinstance(value, bytes):
            crc = zlib.crc32(value, zlib.crc32(b"blob %d;" % len(value), crc))
        else:
            crc = zlib.crc32(f"{value!r};".encode(errors="surrogatepass"), crc)
    return crc


def _adopt(db: sqlite3.Connection, table: str, key: str) -> None:
    for statement in _triggers(table, key).values():
        db.execute(statement)
    db.execute(
        f"INSERT OR IGNORE INTO row_checksums SELECT '{table}', {key}, NULL "  # noqa: S608
        f"FROM {table}"
    )


def _triggers(table: str, key: str) -> dict[str, str]:
    """By name. `INSERT OR REPLACE` fires none for the row that goes, so entering replaces."""
    new, old = (_of_row(key, row) for row in ("NEW", "OLD"))
    ours = f"owner = '{table}' AND row_key ="
    steps = (
        ("entered", "INSERT", f"INSERT OR REPLACE INTO {_NAME} VALUES ('{table}', {new}, NULL)"),  # noqa: S608
        ("changed", "UPDATE", f"UPDATE {_NAME} SET crc32 = NULL WHERE {ours} {new}"),  # noqa: S608
        ("left", "DELETE", f"DELETE FROM {_NAME} WHERE {ours} {old}"),  # noqa: S608
    )
    return {
        f"{table}_row_{what}": f"CREATE TRIGGER {table}_row_{what} AFTER {event} ON {table} "
        f"BEGIN {effect}; END"
        for what, event, effect in steps
    }


def _of_row(key: str, row: str) -> str:
    return " || ' ' || ".join(f"{row}.{column}" for column in key.split(" || ' ' || "))


def _note_marks(db: sqlite3.Connection) -> None:
    if marks(db) != _marks_now(db):
        db.executemany(
            "INSERT OR REPLACE INTO row_checksums VALUES ('', ?, ?)",
            zip(_MARKS, _marks_now(db), strict=True),
        )


def _marks_now(db: sqlite3.Connection) -> tuple[int, int]:
    application_id, user_version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in _MARKS)
    return int(application_id), int(user_version)


def _objects(db: sqlite3.Connection) -> dict[str, str | None]:
    """Tables, indexes and triggers of the file, by name, as they were made."""
    return dict(db.execute("SELECT name, sql FROM main.sqlite_master"))


def _as_items(keys: Keys) -> tuple[tuple[str, str], ...]:
    return tuple(keys.items())


@cache
def _expected(items: tuple[tuple[str, str], ...]) -> dict[str, str | None]:
    """What `keep` makes, as SQLite shows it."""
    made = {name: text for table, key in items for name, text in _triggers(table, key).items()}
    db = sqlite3.connect(":memory:")
    db.execute(_TABLE)
    db.execute(_DUE)
    found = _objects(db)
    db.close()
    return found | made
