"""The SQLite file of a device's strangers: made, known for ours, and replaced when it is
damaged.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from edge_reid.core.errors import DamagedError, GalleryError
from edge_reid.storage.row_checksums import keep, marks, seal
from edge_reid.storage.soundness import check_marks, check_sound, seal_due
from edge_reid.storage.sqlite import (
    check_writable,
    closed_on_error,
    connect,
    damaged,
    is_damage,
    made_beside,
)

APPLICATION_ID = 0x65725374
"""Marks an SQLite file as one of strangers: ASCII `erSt`."""
FORMAT = 1
BUSY_TIMEOUT_S = 1.0
"""A frame may have to wait so long for another agent's change, which takes a few milliseconds."""

KEYS = {"ledger": "only_row", "strangers": "number", "looks": "look_id"}
"""Tables whose rows have checksums."""

_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_AT = slice(68, 72)
_SCHEMA = (
    """CREATE TABLE ledger (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        model_id TEXT NOT NULL,
        dimension INTEGER NOT NULL,
        keep_s REAL NOT NULL,
        tag TEXT,  -- in every name of this file; NULL before the first
        last_number INTEGER NOT NULL  -- ever given
    )""",
    """CREATE TABLE strangers (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        first_seen_utc_s REAL NOT NULL,
        last_seen_utc_s REAL NOT NULL,
        times_seen INTEGER NOT NULL,
        noted_utc_s REAL NOT NULL,  -- on the clock of the device: the time to forget counts from it
        vector BLOB NOT NULL  -- mean of the looks
    )""",
    """CREATE TABLE looks (
        look_id INTEGER PRIMARY KEY AUTOINCREMENT,
        number INTEGER NOT NULL REFERENCES strangers ON DELETE CASCADE,
        vector BLOB NOT NULL,
        quality REAL NOT NULL
    )""",
    "CREATE INDEX looks_by_number ON looks (number, quality)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
_log = logging.getLogger(__name__)


def open_file(path: Path) -> sqlite3.Connection:
    """A file that is there.

    Raises:
        GalleryError: it is not there, of another kind, or of a newer edge-reid.
        sqlite3.Error, GalleryError from one: it is damaged.
    """
    if not path.exists():
        raise GalleryError(
            f"strangers {path}: no such file; an agent makes it when its settings have a section "
            "[strangers]"
        )
    head = _head(path)
    if _is_blank(head):
        raise sqlite3.DatabaseError("malformed: the head is empty")
    if not (_has_our_mark(head) or _was_ours(path)):
        raise GalleryError(
            f"strangers {path}: expected the strangers of a device, got another kind of file; "
            "give another path"
        )
    connection = connect(path, BUSY_TIMEOUT_S)
    with closed_on_error(connection):
        _check(path, connection)
        check_writable(path, connection)
        connection.execute("PRAGMA synchronous = FULL")
        seal_due(connection, KEYS)
    return connection


def open_or_make(path: Path, model_id: str, dimension: int) -> sqlite3.Connection:
    """The file, made if there is none; one of ours that is damaged is replaced.

    Nothing of value is lost with it, and what cannot be read could not be forgotten in time. So one
    whose head is empty or zeros counts as ours. Of what is no database nobody knows whose it is: it
    is set aside.

    Raises:
        GalleryError: it is another database, of a newer edge-reid, or cannot be made.
    """
    if path.exists() and _is_no_database(_head(path)):
        _set_aside(path)
    if not path.exists():
        _make(path, model_id, dimension)
    try:
        return open_file(path)
    except (DamagedError, sqlite3.Error, UnicodeDecodeError) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        _log.error("strangers %s: was damaged: %s; a new one is started", path, error)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _make(path, model_id, dimension)
    return open_file(path)


def _make(path: Path, model_id: str, dimension: int) -> None:
    with made_beside(path, BUSY_TIMEOUT_S) as connection:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO ledger VALUES (1, ?, ?, 0, NULL, 0)", (model_id, dimension))
        keep(connection, KEYS)
        seal(connection, KEYS)


def _set_aside(path: Path) -> None:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.unreadable-{stamp}")
    try:
        path.rename(aside)
    except OSError as error:
        raise GalleryError(
            f"strangers {path}: is no database, and cannot be set aside: {error.strerror}; "
            "move it, or give another path"
        ) from error
    _log.error(
        "strangers %s: is no database; it is kept as %s, and a new one is started: look whether it "
        "is yours, and delete it if it may have been one of strangers",
        path,
        aside,
    )


def _head(path: Path) -> bytes:
    """Read before SQLite opens it, which may change what is somebody else's."""
    try:
        with path.open("rb") as file:
            return file.read(_APPLICATION_ID_AT.stop)
    except OSError as error:
        raise GalleryError(
            f"strangers {path}: cannot be read: {error.strerror}; check its owner and mode"
        ) from error


def _is_blank(head: bytes) -> bool:
    return not any(head[: len(_MAGIC)])


def _has_our_mark(head: bytes) -> bool:
    return head[_APPLICATION_ID_AT] == APPLICATION_ID.to_bytes(4, "big")


def _is_no_database(head: bytes) -> bool:
    return not (_is_blank(head) or head.startswith(_MAGIC) or _has_our_mark(head))


def _was_ours(path: Path) -> bool:
    """Whether the mark is another only since the disk has changed it. Looks, and writes nothing."""
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return (marks(connection) or (0, 0))[0] == APPLICATION_ID
    except sqlite3.Error:
        return False


def _check(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    check_marks(connection, application, version)
    if version > FORMAT:
        raise GalleryError(
            f"strangers {path}: expected format {FORMAT}, got {version}, written by a newer "
            "edge-reid; update this one"
        )
    check_sound(connection, _SCHEMA, KEYS)
    if connection.execute("SELECT 1 FROM ledger").fetchone() is None:
        raise damaged(path)
