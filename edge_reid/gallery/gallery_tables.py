"""The tables of a gallery, and how an older one becomes today's."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from edge_reid.storage.database import Database, DatabaseKind
from edge_reid.storage.row_checksums import is_due
from edge_reid.storage.soundness import at_one_moment, check_ours, check_sound, migrate
from edge_reid.storage.sqlite import is_writable, transaction

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
        # disabled templates: kept, but neither matched nor published
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

GALLERY = DatabaseKind(
    noun="gallery",
    application_id=0x65526964,  # `eRid`
    migrations=MIGRATIONS,
    # no format of their own: an older release, to which a device goes back when an upgrade is taken
    # back, can go on with the file
    keys={
        "gallery": "only_row",
        "identities": "identity_id",
        "templates": "template_id",
        "erasures": "place",
        "published": "place || ' ' || sha256",
        "set_aside": "template_id",
        "photos": "template_id",
    },
    description="a gallery",
    if_other="make one with `edge-reid gallery init FILE`",
    if_damaged="restore it from a copy, or enroll again",
)


def check_format(file: Database, connection: sqlite3.Connection) -> None:
    """Raise unless it is a sound gallery; one of an older format becomes one of today's.

    One that cannot be written is left as it is: it can still be read and searched.

    Raises:
        GalleryError: it is no gallery, or of a newer format.
        sqlite3.Error: it is damaged.
    """
    if connection.execute("PRAGMA application_id").fetchone() == (REPLICA_APPLICATION_ID,):
        raise file.trouble(
            "is a device's copy of a published gallery; use the gallery that it is published from"
        )
    with at_one_moment(connection):
        version = check_ours(file, connection)
        check_sound(connection, sum(MIGRATIONS[:version], ()), GALLERY.keys)
    if version < GALLERY.format:
        _catch_up(file, connection, version)
    elif is_due(connection, GALLERY.keys):
        with suppress(sqlite3.OperationalError), transaction(connection):  # nobody waits for it
            migrate(connection, GALLERY)


def _catch_up(file: Database, connection: sqlite3.Connection, version: int) -> None:
    if not is_writable(file, connection):
        _stand_in(connection, version)
        return
    with transaction(connection):
        migrate(connection, GALLERY)


def _stand_in(connection: sqlite3.Connection, version: int) -> None:
    """Empty tables in memory for those that a file which cannot be written lacks."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
