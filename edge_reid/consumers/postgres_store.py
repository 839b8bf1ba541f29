"""Events in a PostgreSQL database; needs psycopg 3 (the extra `postgres`)."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg.conninfo import conninfo_to_dict

from edge_reid.consumers.event_store import (
    COLUMNS,
    TABLE,
    RejectedEventError,
    StoreUnavailableError,
    row,
)
from edge_reid.core.errors import StoreError, UsageError
from edge_reid.wire.payloads import EventPayload

CONNECT_TIMEOUT_S = 5
PATIENCE_MS = 30_000
"""A statement that takes longer is given up and tried again."""

MIGRATIONS = (
    """CREATE TABLE edge_reid_events (
        event_id text PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('hit', 'unknown')),
        seq bigint NOT NULL,
        type text NOT NULL,
        site text NOT NULL,
        agent text NOT NULL,
        camera text NOT NULL,
        track_id bigint NOT NULL,
        identity text,
        similarity double precision,
        threshold double precision NOT NULL,
        margin double precision,
        crops bigint NOT NULL,
        captured_at timestamptz NOT NULL,
        decided_at timestamptz NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        x1 double precision NOT NULL, y1 double precision NOT NULL,
        x2 double precision NOT NULL, y2 double precision NOT NULL,
        frame_width bigint NOT NULL,
        frame_height bigint NOT NULL,
        model_id text NOT NULL,
        gallery_version bigint NOT NULL,
        replayed boolean NOT NULL,
        stored_at timestamptz NOT NULL
    );
    CREATE INDEX edge_reid_events_by_identity ON edge_reid_events (identity, decided_at);
    CREATE INDEX edge_reid_events_by_camera ON edge_reid_events (site, camera, decided_at);
    CREATE INDEX edge_reid_events_by_agent ON edge_reid_events (site, agent, seq)""",
    """ALTER TABLE edge_reid_events ADD COLUMN stranger text;
    CREATE INDEX edge_reid_events_by_stranger ON edge_reid_events (stranger, decided_at)""",
)
"""What brings the tables from one version to the next, from 0 on."""

_INSERT = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)})"  # noqa: S608 - our own names
    f" VALUES ({', '.join(['%s'] * len(COLUMNS))}) ON CONFLICT (event_id) DO NOTHING"
)
_MIGRATION_LOCK = 0x65724849
"""Advisory lock: of several sinks that start at once, one makes the tables."""


class PostgresStore:
    """Connects again by itself when the database was restarted. Several sinks may share one.

    Args:
        url: libpq's `postgresql://user@host/database`. The password comes from `PGPASSFILE`,
            `PGSERVICE` or `PGPASSWORD`, as for every PostgreSQL client.

    Raises:
        UsageError: the URL holds a password, or is none.
        StoreError: the database cannot be reached or used.
    """

    def __init__(self, url: str) -> None:
        self._url = checked_url(url, "--to")
        try:
            self._db: psycopg.Connection | None = self._connect()
        except psycopg.Error as error:
            raise StoreError(
                f"PostgreSQL: cannot be used: {one_line(error)}; check the URL, and PGPASSFILE"
            ) from error

    def write(self, events: Sequence[EventPayload]) -> int:
        rows = [row(event) for event in events]
        try:
            self._db = self._db or self._connect()
            with self._db.transaction(), self._db.cursor() as cursor:
                cursor.executemany(_INSERT, rows)
                return cursor.rowcount
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as error:
            raise RejectedEventError(f"PostgreSQL: {one_line(error)}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise StoreUnavailableError(f"PostgreSQL: {one_line(error)}") from error
        except psycopg.Error as error:
            raise StoreError(
                f"PostgreSQL: {one_line(error)}; check the table {TABLE} and its rights"
            ) from error

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connect(self) -> psycopg.Connection:
        db = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="edge-reid sink",
        )
        try:
            db.execute(f"SET statement_timeout = {PATIENCE_MS}")
            with db.transaction():
                _migrate(db)
        except BaseException:
            db.close()
            raise
        return db


def _migrate(db: psycopg.Connection) -> None:
    db.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
    db.execute("CREATE TABLE IF NOT EXISTS edge_reid_schema (version integer NOT NULL)")
    found = db.execute("SELECT max(version) FROM edge_reid_schema").fetchone()
    version = (found[0] if found else None) or 0
    if version > len(MIGRATIONS):
        raise StoreError(
            f"PostgreSQL: expected tables of version {len(MIGRATIONS)}, got {version} of a newer"
            " edge-reid; upgrade this one"
        )
    for statements in MIGRATIONS[version:]:
        db.execute(statements)
    if version < len(MIGRATIONS):
        db.execute("DELETE FROM edge_reid_schema")
        db.execute("INSERT INTO edge_reid_schema VALUES (%s)", (len(MIGRATIONS),))


def checked_url(url: str, option: str) -> str:
    """The URL of a database, if it is one and holds no password.

    Raises:
        UsageError: it is none, or others could read a password in it.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise UsageError(f"{option}: is no PostgreSQL URL: {one_line(error)}") from error
    if "password" in parts:
        raise UsageError(
            f"{option}: should hold no password, which others could read; put it into PGPASSFILE,"
            " PGSERVICEFILE or PGPASSWORD"
        )
    return url


def one_line(error: Exception) -> str:
    """What a database says, without its line breaks."""
    return " ".join(str(error).split())
