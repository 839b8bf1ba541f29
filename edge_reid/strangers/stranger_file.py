"""The SQLite file of a device's strangers: made, known for ours, replaced when it is damaged."""

from __future__ import annotations

import logging
import sqlite3

from edge_reid.core.errors import DamagedError
from edge_reid.storage.database import Database, DatabaseKind, is_damage
from edge_reid.storage.quarantine import quarantine_file, remove
from edge_reid.storage.row_checksums import marks, seal
from edge_reid.storage.soundness import migrate, open_sound
from edge_reid.storage.sqlite import made_beside, untouched

BUSY_TIMEOUT_S = 1.0
"""A frame may have to wait so long for another agent's change, which takes a few milliseconds."""

_TABLES = (
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
)
STRANGERS = DatabaseKind(
    noun="strangers",
    application_id=0x65725374,  # `erSt`
    migrations=(_TABLES,),
    keys={"ledger": "only_row", "strangers": "number", "looks": "look_id"},
    description="the strangers of a device",
    if_other="give another path",
    if_damaged="restart the agent, which starts a new one, or delete it",
)
_log = logging.getLogger(__name__)


def open_file(file: Database, *, is_to_change: bool = True) -> sqlite3.Connection:
    """A file that is there.

    Raises:
        GalleryError: it is not there, of another kind, or of a newer edge-reid.
        sqlite3.Error, GalleryError from one: it is damaged.
    """
    if not file.path.exists():
        raise file.trouble(
            "no such file; an agent makes it when its settings have a section [strangers]"
        )
    head = file.head()
    if head.is_blank:
        raise sqlite3.DatabaseError("malformed: the head is empty")
    if head.application_id != STRANGERS.application_id and not _was_ours(file):
        raise file.of_another_kind()
    return open_sound(file, BUSY_TIMEOUT_S, is_to_change=is_to_change)


def open_or_make(file: Database, model_id: str, dimension: int) -> sqlite3.Connection:
    """The file, made if there is none; one of ours that is damaged is replaced.

    Nothing of value is lost with it, and what cannot be read could not be forgotten in time. So one
    whose head is empty or zeros counts as ours. Of what is no database nobody knows whose it is: it
    is quarantined.

    Raises:
        GalleryError: it is another database, of a newer edge-reid, or cannot be made.
    """
    if file.path.exists() and _is_no_database(file):
        _quarantine(file)
    if not file.path.exists():
        _make(file, model_id, dimension)
    try:
        return open_file(file)
    except (DamagedError, sqlite3.Error, UnicodeDecodeError) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        _log.error("strangers %s: was damaged, and a new one is started", file.path)
    remove(file.path)
    _make(file, model_id, dimension)
    return open_file(file)


def _make(file: Database, model_id: str, dimension: int) -> None:
    with made_beside(file, BUSY_TIMEOUT_S) as connection:
        migrate(connection, STRANGERS)
        connection.execute("INSERT INTO ledger VALUES (1, ?, ?, 0, NULL, 0)", (model_id, dimension))
        seal(connection, STRANGERS.keys)


def _quarantine(file: Database) -> None:
    try:
        quarantined = quarantine_file(file.path, "unreadable")
    except OSError as error:
        raise file.trouble(
            f"is no database, and cannot be quarantined: {error.strerror}; "
            "move it, or give another path"
        ) from error
    _log.error(
        "strangers %s: is no database; it is kept as %s, and a new one is started: look whether it "
        "is yours, and delete it if it may have been one of strangers",
        file.path,
        quarantined,
    )


def _is_no_database(file: Database) -> bool:
    head = file.head()
    has_our_mark = head.application_id == STRANGERS.application_id
    return not (head.is_blank or head.is_of_a_database or has_our_mark)


def _was_ours(file: Database) -> bool:
    """Whether the mark is another only since the disk has changed it. Looks, and writes nothing."""
    try:
        with untouched(file.path) as connection:
            return (marks(connection) or (0, 0))[0] == STRANGERS.application_id
    except sqlite3.Error:
        return False
