"""The SQLite file of a box's strangers: made, known for ours, and replaced when it is damaged."""

from __future__ import annotations

import logging
import sqlite3
from datetime import datetime, timezone
from pathlib import Path

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.database import closed_on_error, connect, made_beside

APPLICATION_ID = 0x65725374
"""Marks an SQLite file as one of strangers: ASCII `erSt`."""
FORMAT = 1
BUSY_TIMEOUT_S = 1.0
"""A frame may have to wait so long for another agent's change, which takes a few milliseconds."""

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
        noted_utc_s REAL NOT NULL,  -- on the clock of the box: the time to forget counts from it
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
    if not _has_our_mark(head):
        raise GalleryError(
            f"strangers {path}: expected the strangers of a box, got another kind of file; "
            "give another path"
        )
    connection = connect(path, BUSY_TIMEOUT_S)
    with closed_on_error(connection):
        _check(path, connection)
        connection.execute("PRAGMA synchronous = FULL")
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
    except (GalleryError, sqlite3.Error) as error:
        if not _is_damage(error):
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


def _check(path: Path, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise GalleryError(
            f"strangers {path}: expected format {FORMAT}, got {version}, written by a newer "
            "edge-reid; update this one"
        )
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(f"malformed: {finding}")


def _is_damage(error: Exception) -> bool:
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    return any(sign in str(cause) for sign in ("malformed", "not a database"))
