"""The tables of a gallery, and how an older one becomes today's.

`user_version` counts the migrations a file has seen. A released migration is never edited: a change
of the tables is a further entry of `MIGRATIONS`.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from edge_reid.core.errors import GalleryError
from edge_reid.storage.row_checksums import is_due, keep, seal
from edge_reid.storage.soundness import check_marks, check_sound
from edge_reid.storage.sqlite import is_writable, not_a_gallery, transaction

APPLICATION_ID = 0x65526964
"""Marks an SQLite file as a gallery: ASCII `eRid`."""

REPLICA_APPLICATION_ID = 0x65527043
"""Marks an SQLite file as a device's copy of a published gallery: ASCII `eRpC`."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE gallery (
            only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
            model_id TEXT NOT NULL UNIQUE,
            dimension INTEGER NOT NULL CHECK (dimension > 0),
            version INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE identities (
            identity_id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            name_key TEXT NOT NULL UNIQUE
        )
        """,
        """
        CREATE TABLE templates (
            template_id INTEGER PRIMARY KEY AUTOINCREMENT,
            identity_id INTEGER NOT NULL REFERENCES identities ON DELETE CASCADE,
            model_id TEXT NOT NULL REFERENCES gallery (model_id),
            vector BLOB NOT NULL,
            quality REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
            source_sha256 TEXT NOT NULL CHECK (length(source_sha256) = 64),
            created_utc_s REAL NOT NULL,
            UNIQUE (identity_id, source_sha256)
        )
        """,
    ),
    (
        # whoever was removed: a hash of the name, for devices to know whom to forget
        """
        CREATE TABLE erasures (
            place TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            erased_utc_s REAL NOT NULL
        ) WITHOUT ROWID
        """,
        # what lies where we publish, so that only what is new is sent and what is old is cleared
        """
        CREATE TABLE published (
            place TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            is_there INTEGER NOT NULL,  -- 0: it was about to be sent
            PRIMARY KEY (place, sha256)
        ) WITHOUT ROWID
        """,
    ),
    (
        # templates that are kept, but neither matched nor published
        """
        CREATE TABLE set_aside (
            template_id INTEGER PRIMARY KEY REFERENCES templates ON DELETE CASCADE,
            reason TEXT NOT NULL,
            set_aside_utc_s REAL NOT NULL
        )
        """,
    ),
    (
        # how photos were called when they were given; this stays here
        """
        CREATE TABLE photos (
            template_id INTEGER PRIMARY KEY REFERENCES templates ON DELETE CASCADE,
            photo_name TEXT NOT NULL
        )
        """,
    ),
)
SCHEMA_VERSION = len(MIGRATIONS)

KEYS = {
    "gallery": "only_row",
    "identities": "identity_id",
    "templates": "template_id",
    "erasures": "place",
    "published": "place || ' ' || sha256",
    "set_aside": "template_id",
    "photos": "template_id",
}
"""Tables whose rows have checksums, and what tells those apart. No version of their own: an older
release, to which a device goes back when an upgrade is taken back, can go on with the file.
"""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, checksums with them. The caller holds the transaction."""
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    for statements in MIGRATIONS[done:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    keep(connection, KEYS)
    seal(connection, KEYS)


def _stand_in(connection: sqlite3.Connection, version: int) -> None:
    """Empty tables in memory for those that a file which cannot be written lacks."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))


def check_format(path: Path, connection: sqlite3.Connection) -> None:
    """Nothing, if it is a sound gallery of today's format; one of an older format becomes one.

    One that cannot be written is left as it is: it can still be read and searched.

    Raises:
        GalleryError: it is no gallery, or of a newer format.
        sqlite3.Error: it is damaged.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    check_marks(connection, application, version)
    if application == REPLICA_APPLICATION_ID:
        raise GalleryError(
            f"gallery {path}: is a device's copy of a published gallery; "
            "use the gallery that it is published from"
        )
    if application != APPLICATION_ID:
        raise not_a_gallery(path)
    if version > SCHEMA_VERSION:
        raise GalleryError(
            f"gallery {path}: expected format {SCHEMA_VERSION} or older, got {version}, "
            "written by a newer edge-reid; update this one"
        )
    check_sound(connection, sum(MIGRATIONS[:version], ()), KEYS)
    if version < SCHEMA_VERSION:
        _catch_up(path, connection, version)
    elif is_due(connection, KEYS):
        with suppress(sqlite3.OperationalError), transaction(connection):  # nobody waits for it
            migrate(connection)


def _catch_up(path: Path, connection: sqlite3.Connection, version: int) -> None:
    if not is_writable(path, connection):
        _stand_in(connection, version)
        return
    with transaction(connection):
        migrate(connection)
