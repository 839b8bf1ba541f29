"""The SQLite file of a replica: made, known for ours, and made anew where the disk has spoilt it.

All of value in it can be had again from the gallery's source, so a damaged one never stops an
agent: whatever can be shown to be whole is carried over, and sync fetches the rest. Nothing is kept
of the damaged file, for it holds people who may be erased tomorrow.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from edge_reid.core.errors import DamagedError, GalleryError
from edge_reid.gallery.gallery_tables import REPLICA_APPLICATION_ID
from edge_reid.signing.blobs import ref_of
from edge_reid.storage.row_checksums import check_table, keep, seal
from edge_reid.storage.soundness import check_marks, check_sound, seal_due
from edge_reid.storage.sqlite import (
    check_writable,
    closed_on_error,
    connect,
    damaged,
    in_one_line,
    is_blank,
    made_beside,
)

FORMAT = 1
BUSY_TIMEOUT_S = 10.0
KEYS = {"heads": "version", "erased": "place", "ledger": "only_row"}
"""Tables whose rows have checksums. A blob has its own: its name."""

SCHEMA = (
    """CREATE TABLE heads (
        version INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL,
        root_sha256 TEXT NOT NULL,
        root_bytes INTEGER NOT NULL,
        left_utc_s REAL  -- NULL: in force
    )""",
    "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE erased (place TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE ledger (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        highest INTEGER NOT NULL,  -- version ever taken: none below is taken any more
        purged_through INTEGER NOT NULL,  -- no byte of an older version is in the file
        traces INTEGER NOT NULL  -- 1: what was deleted may still stand in the log
    )""",
    "INSERT INTO ledger VALUES (1, 0, 0, 0)",
    f"PRAGMA application_id = {REPLICA_APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
_log = logging.getLogger(__name__)


def open_or_make(path: Path) -> sqlite3.Connection:
    """The file of a replica; made if there is none, and made anew if it is damaged.

    Raises:
        GalleryError: it is of another kind, of a newer edge-reid, or cannot be made.
        NoRoomError: it is damaged, or not there, and the disk is full.
    """
    if not path.exists():
        with made_beside(path, BUSY_TIMEOUT_S) as connection:
            _fill(connection)
    try:
        return _open(path)
    except DamagedError as error:
        _log.error("%s; what is whole of it is kept, and the rest is fetched anew", error)
    _make_anew(path)
    return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    if is_blank(path):
        raise damaged(path)
    with in_one_line(path), closed_on_error(connect(path, BUSY_TIMEOUT_S)) as connection:
        _check_ours(path, connection)
        check_writable(path, connection)
        connection.execute("PRAGMA synchronous = FULL")
        seal_due(connection, KEYS)
    return connection


def _check_ours(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    check_marks(connection, application, version)
    if application != REPLICA_APPLICATION_ID:
        raise GalleryError(
            f"gallery {path}: expected the copy of a published gallery, got another kind of file; "
            "a device that syncs needs a path of its own, sync makes the file"
        )
    if version > FORMAT:
        raise GalleryError(
            f"gallery {path}: expected format {FORMAT}, got {version}, written by a newer "
            "edge-reid; update this one"
        )
    check_sound(connection, SCHEMA, KEYS)
    if connection.execute("SELECT 1 FROM ledger").fetchone() is None:
        raise damaged(path)


def _fill(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA:
        connection.execute(statement)
    keep(connection, KEYS)
    seal(connection, KEYS)


def _make_anew(path: Path) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        _fill(fresh)
        with (
            suppress(GalleryError, sqlite3.Error, UnicodeDecodeError),  # it may not even open
            closing(connect(path, BUSY_TIMEOUT_S)) as spoilt,
        ):
            _carry_over(spoilt, fresh)
        seal(fresh, KEYS)
        with in_one_line(path):
            _write_over(path, fresh)


def _write_over(path: Path, fresh: sqlite3.Connection) -> None:
    """In the same file where that can be, as another agent of this device may have it open."""
    with suppress(DamagedError, sqlite3.DatabaseError):
        with closing(connect(path, BUSY_TIMEOUT_S)) as there:
            fresh.backup(there)
            there.execute("PRAGMA journal_mode = WAL")
            there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _open(path).close()
        return
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with made_beside(path, BUSY_TIMEOUT_S, fresh):
        pass


def _carry_over(spoilt: sqlite3.Connection, fresh: sqlite3.Connection) -> None:
    """All blobs that have their hash, and heads, erasures and counts whose rows are as written."""
    for sha256, body in _readable_blobs(spoilt):
        if isinstance(body, bytes) and ref_of(body).sha256 == sha256:
            fresh.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (sha256, body))
    heads, erased, ledger = (_trusted(spoilt, table) for table in KEYS)
    if heads is not None and erased is not None:
        fresh.executemany("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", heads)
        fresh.executemany("INSERT INTO erased VALUES (?)", erased)
    (kept,) = fresh.execute("SELECT max(version) FROM heads").fetchone()
    highest = ledger[0][1] if ledger else kept or 0
    if kept is None:  # the newest comes again under its number
        highest = max(highest - 1, 0)
    fresh.execute("UPDATE ledger SET highest = ?, traces = 1", (highest,))


def _readable_blobs(spoilt: sqlite3.Connection) -> Iterator[tuple[object, object]]:
    """From both ends, up to where a page cannot be read."""
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error, UnicodeDecodeError):
            yield from spoilt.execute(f"SELECT sha256, body FROM blobs ORDER BY rowid {order}")  # noqa: S608
            return


def _trusted(spoilt: sqlite3.Connection, table: str) -> list[tuple[int, ...]] | None:
    try:
        check_table(spoilt, table, KEYS[table])
        return spoilt.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names
    except (sqlite3.Error, UnicodeDecodeError):
        return None
