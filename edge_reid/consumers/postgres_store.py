"""Events in a PostgreSQL database; needs psycopg 3 (the extra `postgres`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import psycopg

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
from edge_reid.consumers.postgres_months import Month, add_month, drop_before, months_of
from edge_reid.consumers.postgres_schema import migrate_schema
from edge_reid.consumers.zone_rows import ZONE_COLUMNS, ZONE_TABLE, by_table, zone_row
from edge_reid.core.errors import StoreError
from edge_reid.storage.postgres import checked_url, connected, one_line
from edge_reid.wire.payloads import AnyEvent, EventPayload, utc_s

PATIENCE_MS = 30_000
"""A statement that takes longer is given up and tried again."""

MONTH_RETRY_S = 600.0
"""Pause before a month is tried again that could not be given a partition."""

_INSERT = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)})"  # noqa: S608 - our own names
    f" VALUES ({', '.join(['%s'] * len(COLUMNS))}) ON CONFLICT (decided_at, event_id) DO NOTHING"
)
_INSERT_ZONE = (
    f"INSERT INTO {ZONE_TABLE} ({', '.join(ZONE_COLUMNS)})"  # noqa: S608 - our own names
    f" VALUES ({', '.join(['%s'] * len(ZONE_COLUMNS))}) ON CONFLICT (event_id) DO NOTHING"
)
_EXPIRE_ZONES = (
    f"DELETE FROM {ZONE_TABLE}"  # noqa: S608 - our own names
    " WHERE (decided_at >= %s AND decided_at < %s) OR stored_at < %s"
)


class PostgresStore:
    """Connects again by itself when the database was restarted. Several sinks may share one.

    Args:
        url: libpq's `postgresql://user@host/database`. The password comes from `PGPASSFILE`,
            `PGSERVICE` or `PGPASSWORD`, as for every PostgreSQL client.

    Raises:
        UsageError: the URL holds a password, or is none.
        StoreError: the database cannot be reached or used.
    """

    batch_max = BATCH_MAX

    def __init__(self, url: str) -> None:
        self._url = checked_url(url, "--to")
        self._months: set[Month] = set()  # that have a partition
        self._month_retry_s = 0.0  # not before
        try:
            self._db: psycopg.Connection | None = self._connect()
        except psycopg.Error as error:
            raise StoreError(
                f"PostgreSQL: cannot be used: {one_line(error)}; check the URL, and PGPASSFILE"
            ) from error

    def write(self, events: Sequence[AnyEvent]) -> int:
        tracks, zones = by_table(events)
        entries = ((_INSERT, [*map(row, tracks)]), (_INSERT_ZONE, [*map(zone_row, zones)]))
        with self._errors_of_ours():
            self._db = self._db or self._connect()
            self._add_months(self._db, tracks)
            new = 0
            with self._db.transaction(), self._db.cursor() as cursor:
                for statement, rows in entries:
                    if rows:
                        cursor.executemany(statement, rows)
                        new += cursor.rowcount
            return new

    def expire(self, before_utc_s: float) -> None:
        with self._errors_of_ours():
            self._db = self._db or self._connect()
            before = datetime.fromtimestamp(before_utc_s, timezone.utc)
            self._months.difference_update(drop_before(self._db, before))
            sane = before - timedelta(seconds=OWN_MONTHS * MONTH_S)
            self._db.execute(_EXPIRE_ZONES, (sane, before, before))

    @contextmanager
    def _errors_of_ours(self) -> Iterator[None]:
        try:
            yield
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

    def _add_months(self, db: psycopg.Connection, events: Sequence[EventPayload]) -> None:
        try:
            decided_s = [utc_s(event.decided_at) for event in events]
        except ValueError:  # a moment that is none: the database says so
            return
        for month in months_of(decided_s, time.time()) - self._months:
            if time.monotonic() >= self._month_retry_s:
                is_there = add_month(db, month)
                self._months |= {month} if is_there else set()
                self._month_retry_s = 0.0 if is_there else time.monotonic() + MONTH_RETRY_S

    def _connect(self) -> psycopg.Connection:
        db = connected(self._url, "edge-reid sink")
        try:
            db.execute(f"SET statement_timeout = {PATIENCE_MS}")
            with db.transaction():
                migrate_schema(db)
        except BaseException:
            db.close()
            raise
        return db
