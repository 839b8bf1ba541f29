"""The tables of an open outbox: events, whose state lies at the broker, and how it all stands.

No transactions here, no guard against damage, and nothing of the room on the disk.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from edge_reid.delivery.outbox_row import Row, RowError, read_row

_COLUMNS = "seq, CAST(topic AS BLOB), body, committed_s"


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """How an outbox stands."""

    last_seq: int
    """Of the newest event ever committed; 0 before the first."""
    depth: int
    """Events waiting."""
    bytes: int
    """Of their rows."""
    dropped: int
    """Events ever lost to the caps, to a disk that would not take them, or to damage."""


class OutboxTables:
    """What stands in an open file. Every method raises sqlite3.Error when the disk fails, and
    TypeError or UnicodeDecodeError where a bit has flipped.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @property
    def stats(self) -> OutboxStats:
        """As the ledger has it, which triggers keep."""
        return OutboxStats(*self._row("SELECT last_seq, depth, bytes, dropped FROM ledger"))

    @property
    def counted(self) -> tuple[int, int]:
        """How many events there are, and their bytes."""
        count, size_bytes = self._row("SELECT count(*), coalesce(sum(length(body)), 0) FROM events")
        return count, size_bytes

    @property
    def last_seq(self) -> int:
        """Of the newest event ever committed; 0 before the first."""
        return int(self._row("SELECT last_seq FROM ledger")[0])

    @property
    def newest_seq(self) -> int:
        """Of the events that are there; 0: there is none."""
        return int(self._row("SELECT coalesce(max(seq), 0) FROM events")[0])

    @property
    def oldest_seq(self) -> int | None:
        """Of the events that are there; None: there is none."""
        oldest = self._db.execute("SELECT seq FROM events ORDER BY seq LIMIT 1").fetchone()
        return int(oldest[0]) if oldest else None

    @property
    def session(self) -> str:
        """Of the agent that last went online from here; empty before the first."""
        return str(self._row("SELECT session FROM ledger")[0])

    @property
    def shown(self) -> frozenset[str]:
        """Identities whose state may lie at the broker."""
        return frozenset(row[0] for row in self._db.execute("SELECT identity FROM shown"))

    def read(self, after_seq: int, limit: int, without: Collection[str]) -> list[tuple[Any, ...]]:
        """Columns for `read_row` of the oldest events after one, but of the topics `without`."""
        other_topics = f"AND topic NOT IN ({_marks(without)})" if without else ""
        query = f"SELECT {_COLUMNS} FROM events WHERE seq > ? {other_topics} ORDER BY seq LIMIT ?"  # noqa: S608
        return self._db.execute(query, (after_seq, *without, limit)).fetchall()

    def seqs_of(self, topics: Collection[str]) -> list[int]:
        """Of all events of these topics."""
        query = f"SELECT seq FROM events WHERE topic IN ({_marks(topics)})"  # noqa: S608
        return [seq for (seq,) in self._db.execute(query, (*topics,))]

    def sizes(self, seqs: Iterable[int]) -> dict[int, int]:
        """Bytes of those events that are in the file."""
        query = "SELECT length(body) FROM events WHERE seq = ?"
        rows = {seq: self._db.execute(query, (seq,)).fetchone() for seq in seqs}
        return {seq: row[0] for seq, row in rows.items() if row}

    def committed_s(self, *, newest: bool) -> float | None:
        """When the newest or the oldest event was committed, on the outbox's own clock.

        None: there is none, or a bit has flipped in it.
        """
        order = "DESC" if newest else "ASC"
        query = f"SELECT {_COLUMNS} FROM events ORDER BY seq {order} LIMIT 1"  # noqa: S608
        columns = self._db.execute(query).fetchone()
        try:
            return read_row(*columns).committed_s if columns else None
        except RowError:  # which goes when it is read
            return None

    def lived_s(self, max_age_s: float) -> float:
        """The outbox's own clock; by the newest event where a bit has flipped in it."""
        (lived_s,) = self._row("SELECT lived_s FROM ledger")
        newest_s = self.committed_s(newest=True)
        if newest_s is None:
            return float(lived_s) if math.isfinite(lived_s) else 0.0
        is_plausible = newest_s <= lived_s <= newest_s + max_age_s
        return float(lived_s) if is_plausible else newest_s

    def insert(self, *rows: Row) -> None:
        """Enter events; raises sqlite3.IntegrityError when one is there already."""
        self._insert("INSERT INTO events VALUES (?, ?, ?, ?)", rows)

    def insert_missing(self, rows: Iterable[Row]) -> None:
        """Enter those events that are not there yet."""
        self._insert("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", rows)

    def insert_shown(self, names: Iterable[str]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO shown VALUES (?)", [(name,) for name in names])

    def delete_shown(self, names: Iterable[str]) -> None:
        self._db.executemany("DELETE FROM shown WHERE identity = ?", [(name,) for name in names])

    def delete(self, seqs: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq in seqs])

    def drop_oldest(self) -> None:
        """Delete the oldest event, and count it as lost."""
        query = "DELETE FROM events WHERE seq = (SELECT min(seq) FROM events)"
        self.note(dropped=self._db.execute(query).rowcount)

    def note(self, *, dropped: int) -> None:
        """Count events as lost."""
        self._db.execute("UPDATE ledger SET dropped = dropped + ?", (dropped,))

    def note_lived(self, lived_s: float) -> None:
        self._db.execute("UPDATE ledger SET lived_s = ?", (lived_s,))

    def note_session(self, session: str) -> None:
        self._db.execute("UPDATE ledger SET session = ?", (session,))

    def correct(self, last_seq: int) -> None:
        """Have the ledger say what is there."""
        figures = (last_seq, *self.counted)
        self._db.execute("UPDATE ledger SET last_seq = ?, depth = ?, bytes = ?", figures)

    def _insert(self, statement: str, rows: Iterable[Row]) -> None:
        columns = [(row.seq, row.topic, row.to_bytes(), row.committed_s) for row in rows]
        self._db.executemany(statement, columns)

    def _row(self, query: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._db.execute(query).fetchone()
        return row


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))
