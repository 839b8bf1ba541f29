"""The table of events in PostgreSQL, a partition a month, so that an old month is dropped.

A month is that of `decided_at`, in UTC. What a device with a wrong clock dates far away lies in one
partition for all other months, so that nobody's clock makes partitions without end.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

import psycopg
from psycopg import sql

from edge_reid.consumers.event_store import OWN_MONTHS, TABLE

_log = logging.getLogger(__name__)

OTHER_MONTHS = f"{TABLE}_other"
"""The partition of months that have none of their own."""
CHANGE_LOCK = 0x65724849
"""Advisory lock: one sink at a time makes tables, and partitions."""
LOCK_TIMEOUT_MS = 2000
"""Whoever reads the table for longer is not waited for; the month is made or dropped later."""

_MOVE = """WITH moved AS (
    DELETE FROM {other} WHERE decided_at >= {begin} AND decided_at < {end} RETURNING *
) INSERT INTO {month} SELECT * FROM moved"""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month, in UTC."""

    year: int
    number: int
    """1..12."""

    @classmethod
    def at(cls, utc_s: float) -> Month:
        moment = datetime.fromtimestamp(utc_s, timezone.utc)
        return cls(moment.year, moment.month)

    @classmethod
    def of_table(cls, name: str) -> Month | None:
        """The month of a partition, by its name; None: it is none of a month."""
        match = re.fullmatch(rf"{TABLE}_(\d{{4}})_(\d\d)", name)
        return cls(int(match[1]), int(match[2])) if match else None

    @property
    def table(self) -> str:
        return f"{TABLE}_{self.year:04}_{self.number:02}"

    @property
    def next(self) -> Month:
        return self.plus(1)

    @property
    def begins_at(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=timezone.utc)

    def plus(self, months: int) -> Month:
        index = self.year * 12 + self.number - 1 + months
        return Month(index // 12, index % 12 + 1)

    def has_own_partition(self, now_utc_s: float) -> bool:
        """Whether it is near enough to today."""
        today = Month.at(now_utc_s)
        return today.plus(-OWN_MONTHS) <= self <= today.next


def add_month(db: psycopg.Connection, month: Month) -> bool:
    """Give a month a partition of its own, unless it has one; what lies elsewhere is moved there.

    Returns:
        whether it has one now. Where the role may not change the table, or somebody reads it all
        the time, events go to `OTHER_MONTHS` meanwhile.
    """
    try:
        with db.transaction():
            db.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            db.execute("SELECT pg_advisory_xact_lock(%s)", (CHANGE_LOCK,))
            (found,) = db.execute("SELECT to_regclass(%s)", (month.table,)).fetchone() or (None,)
            if found is None:
                _add(db, month)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable) as error:
        _log.warning("no partition %s yet: %s", month.table, " ".join(str(error).split()))
        return False
    return True


def _add(db: psycopg.Connection, month: Month) -> None:
    names = {
        "month": sql.Identifier(month.table),
        "events": sql.Identifier(TABLE),
        "other": sql.Identifier(OTHER_MONTHS),
        "begin": sql.Literal(month.begins_at),
        "end": sql.Literal(month.next.begins_at),
    }
    for statement in (
        "LOCK TABLE {other} IN ACCESS EXCLUSIVE MODE",
        "CREATE TABLE {month} (LIKE {events} INCLUDING CONSTRAINTS INCLUDING DEFAULTS)",
        _MOVE,
        "ALTER TABLE {events} ATTACH PARTITION {month} FOR VALUES FROM ({begin}) TO ({end})",
    ):
        db.execute(sql.SQL(statement).format(**names))


def months_there(db: psycopg.Connection) -> tuple[Month, ...]:
    """Those that have a partition, oldest first."""
    rows = db.execute(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = to_regclass(%s)",
        (TABLE,),
    ).fetchall()
    found = (Month.of_table(name) for (name,) in rows)
    return tuple(sorted(month for month in found if month))


def drop_before(db: psycopg.Connection, before: datetime) -> tuple[Month, ...]:
    """Drop the months that ended by then, and delete what is older of the month it is in.

    What lies in `OTHER_MONTHS` has a date that means nothing, and goes by when it was stored.

    Returns:
        the months that were dropped.
    """
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (CHANGE_LOCK,))
        db.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        there = months_there(db)
        dropped = tuple(month for month in there if month.next.begins_at <= before)
        for month in dropped:
            db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(month.table)))
        for month in set(there) & {Month.at(before.timestamp())}:
            _delete(db, month.table, "decided_at", before)
        _delete(db, OTHER_MONTHS, "stored_at", before)
    return dropped


def _delete(db: psycopg.Connection, table: str, column: str, before: datetime) -> None:
    statement = sql.SQL("DELETE FROM {} WHERE {} < %s")
    db.execute(statement.format(sql.Identifier(table), sql.Identifier(column)), (before,))


def months_of(decided_utc_s: Iterable[float], now_utc_s: float) -> set[Month]:
    """The months of these moments that have partitions of their own."""
    months = {Month.at(moment_s) for moment_s in decided_utc_s}
    return {month for month in months if month.has_own_partition(now_utc_s)}
