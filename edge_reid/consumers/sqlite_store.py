"""Events in an SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_reid.consumers.event_store import (
    BATCH_MAX,
    COLUMNS,
    MONTH_S,
    OWN_MONTHS,
    TABLE,
    RejectedEventError,
    StoreUnavailableError,
    row,
)
from edge_reid.consumers.zone_rows import ZONE_COLUMNS, ZONE_TABLE, by_table, zone_row
from edge_reid.core.errors import StoreError
from edge_reid.storage.database import Database, DatabaseKind
from edge_reid.storage.soundness import at_one_moment, check_ours, migrate
from edge_reid.storage.sqlite import transaction
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AnyEvent

LOCK_TIMEOUT_S = 5.0

MIGRATIONS = (
    (
        """CREATE TABLE events (
            event_id TEXT PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('hit', 'unknown')),
            seq INTEGER NOT NULL,
            type TEXT NOT NULL,
            site TEXT NOT NULL,
            agent TEXT NOT NULL,
            camera TEXT NOT NULL,
            track_id INTEGER NOT NULL,
            identity TEXT,
            similarity REAL,
            threshold REAL NOT NULL,
            margin REAL,
            crops INTEGER NOT NULL,
            captured_at TEXT NOT NULL,  -- RFC 3339 in UTC, as on the wire: it sorts by time
            decided_at TEXT NOT NULL,
            first_seen TEXT NOT NULL,
            last_seen TEXT NOT NULL,
            x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
            frame_width INTEGER NOT NULL,
            frame_height INTEGER NOT NULL,
            model_id TEXT NOT NULL,
            gallery_version INTEGER NOT NULL,
            replayed INTEGER NOT NULL,
            stored_at TEXT NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX events_by_identity ON events (identity, decided_at)",
        "CREATE INDEX events_by_camera ON events (site, camera, decided_at)",
        "CREATE INDEX events_by_agent ON events (site, agent, seq)",
    ),
    (
        "ALTER TABLE events ADD COLUMN stranger TEXT",
        "CREATE INDEX events_by_stranger ON events (stranger, decided_at)",
    ),
    (
        # named as in PostgreSQL; queries by the old name go on
        "ALTER TABLE events RENAME TO edge_reid_events",
        "CREATE VIEW events AS SELECT * FROM edge_reid_events",
    ),
    ("ALTER TABLE edge_reid_events ADD COLUMN continues INTEGER",),
    ("ALTER TABLE edge_reid_events ADD COLUMN corrects TEXT",),
    ("ALTER TABLE edge_reid_events ADD COLUMN zones TEXT",),  # a list as JSON, for json_each
    (
        """CREATE TABLE edge_reid_zone_events (
            event_id TEXT PRIMARY KEY,
            seq INTEGER NOT NULL,
            type TEXT NOT NULL,
            zone TEXT,
            line TEXT,
            direction TEXT,
            site TEXT NOT NULL,
            agent TEXT NOT NULL,
            camera TEXT NOT NULL,
            track_id INTEGER NOT NULL,
            continues INTEGER,
            at TEXT NOT NULL,
            entered_at TEXT,
            decided_at TEXT NOT NULL,
            first_seen TEXT NOT NULL,
            last_seen TEXT NOT NULL,
            x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
            frame_width INTEGER NOT NULL,
            frame_height INTEGER NOT NULL,
            replayed INTEGER NOT NULL,
            stored_at TEXT NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX zone_events_by_camera ON edge_reid_zone_events (site, camera, at)",
        # who it was is asked of the same track
        """CREATE INDEX events_by_track ON edge_reid_events
            (site, agent, camera, track_id, first_seen, decided_at)""",
    ),
)
EVENTS = DatabaseKind(
    noun="events",
    application_id=0x65724849,  # `erHI`
    migrations=MIGRATIONS,
    keys={},
    description="the events of a sink",
    if_other="give another file",
    if_damaged="restore it from a copy",
    error=StoreError,
)


def _insert(table: str, columns: Sequence[str]) -> str:
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own names
        " ON CONFLICT (event_id) DO NOTHING"
    )


_INSERT, _INSERT_ZONE = _insert(TABLE, COLUMNS), _insert(ZONE_TABLE, ZONE_COLUMNS)
_EXPIRE = tuple(
    f"DELETE FROM {table} WHERE (decided_at >= ? AND decided_at < ?) OR stored_at < ?"  # noqa: S608 - our own names
    for table in (TABLE, ZONE_TABLE)
)


class SqliteStore:
    """Synced to disk at every write. Several sinks may share a file.

    Raises:
        StoreError: it cannot be opened, is another kind of database, or of a newer edge-reid.
    """

    batch_max = BATCH_MAX

    def __init__(self, path: Path) -> None:
        self._path = path
        with suppress(OSError):  # SQLite meets the same trouble, and says more of it
            path.touch(0o600)  # a new one is its owner's alone; the log gets the file's own mode
        try:
            self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None)
            self._prepare()
        except sqlite3.Error as error:
            raise StoreError(
                f"{path}: cannot be opened: {error}; check the folder, or give another file"
            ) from error

    def write(self, events: Sequence[AnyEvent]) -> int:
        tracks, zones = by_table(events)
        rows = [[_held(value) for value in row(event)] for event in tracks]
        before = self._db.total_changes
        with self._errors_of_ours(), transaction(self._db):
            self._db.executemany(_INSERT, rows)
            self._db.executemany(_INSERT_ZONE, map(zone_row, zones))
        return self._db.total_changes - before

    def expire(self, before_utc_s: float) -> None:
        before, sane = rfc3339(before_utc_s), rfc3339(before_utc_s - OWN_MONTHS * MONTH_S)
        with self._errors_of_ours(), transaction(self._db):
            for statement in _EXPIRE:
                self._db.execute(statement, (sane, before, before))

    @contextmanager
    def _errors_of_ours(self) -> Iterator[None]:
        try:
            yield
        except (OverflowError, UnicodeError, sqlite3.IntegrityError) as error:
            raise RejectedEventError(f"{self._path}: {error}") from error
        except sqlite3.OperationalError as error:  # locked, full, or the disk is gone
            raise StoreUnavailableError(f"{self._path}: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}; restore it from a copy") from error

    def close(self) -> None:
        self._db.close()

    def _prepare(self) -> None:
        # looked at before anything is written: it may be somebody else's
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables:
            with at_one_moment(self._db):
                check_ours(Database(self._path, EVENTS), self._db)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with transaction(self._db):
            migrate(self._db, EVENTS)


def _held(value: object) -> object:
    """As SQLite can hold it."""
    return json.dumps(value) if isinstance(value, list) else value
