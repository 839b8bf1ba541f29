"""The durable store that events wait in until the broker has them.

One SQLite file (write-ahead log, synced to disk at every event), open in one process at a time.
An event is in it before the network hears of it, and leaves it when the broker has acknowledged
it. `seq` is given at commit and rises by one; a gap on the wire says that events were dropped.

Beside the events stands whose state the broker keeps because of them, until it is cleared there.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edge_reid.core.errors import OutboxError
from edge_reid.core.types import Known
from edge_reid.messaging.outbox_file import (
    is_damage,
    open_or_replace,
    set_aside,
    transaction,
)
from edge_reid.messaging.wire import Event

LINGER_S = 5.0
"""After an event, the next is expected within so many seconds; it takes delivered ones along."""
LINGERING_MAX = 256
"""Delivered events in the file at most."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it waits."""

    seq: int
    topic: str
    body: bytes
    """Its payload: one line of JSON, UTF-8."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How an outbox stands."""

    last_seq: int
    """Of the newest event ever committed; 0 before the first."""
    depth: int
    """Events waiting."""
    bytes: int
    """Of their payloads."""
    dropped: int
    """Events ever lost to the caps, or to a disk that would not take them."""


class Outbox:
    """Events on disk, oldest first. Several threads may use it.

    The age of an event counts while the agent runs, not by the wall clock: a box without a
    battery clock wakes up years ago, and must not lose its events when the clock is set. So a
    clock that jumps ages nothing, and hours without power do not count; the byte cap bounds what
    such a box can hold.

    Args:
        max_bytes: of the payloads; beyond it the oldest go.
        max_age_s: older ones go.
        clock: seconds that only ever rise while this process lives, as `time.monotonic` does.

    Raises:
        OutboxError: the file cannot be opened, is in use, or is some other database. A damaged
            outbox is no error: it is set aside, named in `set_aside`, and a new one started.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 64 << 20,
        max_age_s: float = 7 * 86_400.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = threading.RLock()
        self._unnoted_drops = 0  # not yet in the file
        self._delivered: dict[int, int] = {}  # seq -> bytes, not yet removed from the file
        self._db, self.set_aside = open_or_replace(path)
        if self.set_aside:
            _log.error("outbox %s: was damaged: set aside as %s", path, self.set_aside)
        self._figures = self._read_figures()  # exact, since nobody else has the file open
        self._shown = self._read_shown()
        self._last_put_s = -LINGER_S
        self._clock_offset_s = self._read_lived_s() - clock()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, event: Event) -> int | None:
        """Commit an event; returns its `seq`, or None when the disk would not take it.

        A refused event is logged and counted as dropped, and the agent runs on.
        """
        with self._lock:
            self._last_put_s = self._clock()
            try:
                return self._guarded(lambda: self._commit(event))
            except OutboxError as error:
                if not self._unnoted_drops:  # once: a full disk has no room for a long log
                    _log.error("events are lost from now on: %s", error)
                self._unnoted_drops += 1
                return None

    def pending(self, after_seq: int = 0, limit: int = 100) -> tuple[Entry, ...]:
        """The oldest events numbered above `after_seq`, in order.

        Raises:
            OutboxError: the disk fails.
        """
        return self._guarded(lambda: self._read(after_seq, limit))

    def acknowledge(self, seqs: Iterable[int]) -> None:
        """Forget events that the broker has. What the disk refuses to remove goes next time.

        They leave the file with the next event that enters it, or a little later by `tidy`: that
        is half the writing. Who is killed in between sends them again, under the same event_id.
        """
        known = tuple(seqs)
        with self._lock:
            try:
                self._delivered.update(self._guarded(lambda: self._sizes(known)))
            except OutboxError as error:
                _log.warning("delivered events will be told again: %s", error)
            self.tidy()

    def tidy(self) -> None:
        """Remove delivered events from the file, unless the next event is likely to do it soon."""
        with self._lock:
            is_busy = self._clock() - self._last_put_s < LINGER_S
            if not self._delivered or (is_busy and len(self._delivered) < LINGERING_MAX):
                return
            try:
                self._guarded(self._remove_delivered)
            except OutboxError as error:
                _log.warning("delivered events stay for now: %s", error)

    def discard(self, seq: int) -> None:
        """Drop an event that cannot be sent, and count it."""
        with self._lock:
            self._unnoted_drops += 1
            self.acknowledge([seq])

    @property
    def session(self) -> str:
        """Of the agent that last went online from here; empty before the first."""
        query = "SELECT session FROM ledger"
        return str(self._guarded(lambda: self._db.execute(query).fetchone()[0]))

    def note_session(self, session: str) -> None:
        """Remember who goes online now. A full disk may refuse; that costs no event."""
        with self._lock:
            try:
                self._guarded(lambda: self._write_session(session))
            except OutboxError as error:
                _log.warning("the session is not noted: %s", error)

    @property
    def shown(self) -> frozenset[str]:
        """Identities whose state may lie retained at the broker."""
        return self._shown

    def note_shown(self, names: Iterable[str]) -> None:
        """Remember identities as such. A full disk may refuse; then this lasts until the end."""
        with self._lock:
            new = frozenset(names) - self._shown
            self._shown |= new
            try:
                self._guarded(lambda: self._write_shown(new))
            except OutboxError as error:
                _log.warning("whose states are to be cleared is not noted: %s", error)

    def forget_shown(self, names: frozenset[str]) -> None:
        """The states of these are cleared. What the disk refuses to forget is cleared again."""
        with self._lock:
            self._shown -= names
            try:
                self._guarded(lambda: self._delete_shown(names))
            except OutboxError as error:
                _log.warning("cleared states will be cleared again: %s", error)

    @property
    def figures(self) -> Figures:
        """Depth, size and losses now."""
        with self._lock:
            return replace(
                self._figures,
                depth=self._figures.depth - len(self._delivered),
                bytes=self._figures.bytes - sum(self._delivered.values()),
                dropped=self._figures.dropped + self._unnoted_drops,
            )

    def close(self) -> None:
        with self._lock:
            self._last_put_s = -LINGER_S
            self.tidy()
            self._db.close()

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Do work on the file. If it turns out damaged, start over and do the work once more."""
        with self._lock:
            try:
                return self._unless_damaged(work)
            except sqlite3.Error as error:
                raise OutboxError(f"outbox {self.path}: {error}; check the disk") from error

    def _unless_damaged(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._start_over(error)
            return work()

    def _start_over(self, error: sqlite3.Error) -> None:
        self._db.close()
        lost = self._figures.depth - len(self._delivered) + self._figures.dropped
        self._db, self.set_aside = set_aside(self.path)
        self._figures = self._read_figures()
        self._unnoted_drops += lost
        self._delivered.clear()
        _log.error("outbox %s: %s: set aside as %s", self.path, error, self.set_aside)
        self._write_shown(self._shown)

    def _read(self, after_seq: int, limit: int) -> tuple[Entry, ...]:
        oldest = self._db.execute("SELECT committed_s FROM events ORDER BY seq LIMIT 1").fetchone()
        if oldest is not None and self._now_s() - oldest[0] > self._max_age_s:
            with self._transaction():
                self._delete_delivered()
                self._make_room(0)
            self._delivered.clear()
        query = "SELECT seq, topic, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = self._db.execute(query, (after_seq, limit + len(self._delivered))).fetchall()
        return tuple(Entry(*row) for row in rows if row[0] not in self._delivered)[:limit]

    def _write_session(self, session: str) -> None:
        with self._transaction():
            self._db.execute("UPDATE ledger SET session = ?", (session,))

    def _write_shown(self, names: Collection[str]) -> None:
        if names:
            with self._transaction():
                self._insert_shown(names)

    def _insert_shown(self, names: Iterable[str]) -> None:
        rows = [(name,) for name in names]
        self._db.executemany("INSERT OR IGNORE INTO shown VALUES (?)", rows)

    def _delete_shown(self, names: Iterable[str]) -> None:
        with self._transaction():
            rows = [(name,) for name in names]
            self._db.executemany("DELETE FROM shown WHERE identity = ?", rows)

    def _commit(self, event: Event) -> int:
        decision = event.hit.decision
        names = frozenset([decision.identity] if isinstance(decision, Known) else [])
        with self._transaction():
            (last_seq,) = self._db.execute("SELECT last_seq FROM ledger").fetchone()
            seq = int(last_seq) + 1
            body = event.payload(seq).to_json().encode()
            self._delete_delivered()
            self._make_room(len(body))
            row = (seq, event.topic, body, self._now_s())
            self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", row)
            self._insert_shown(names - self._shown)
        self._delivered.clear()
        self._shown |= names
        return seq

    def _make_room(self, incoming_bytes: int) -> None:
        """Drop the oldest events while they are too old or too much."""
        oldest = "SELECT seq, committed_s, bytes FROM events, ledger ORDER BY seq LIMIT 1"
        while row := self._db.execute(oldest).fetchone():
            seq, committed_s, total_bytes = row
            is_fresh = self._now_s() - committed_s <= self._max_age_s
            if is_fresh and total_bytes + incoming_bytes <= self._max_bytes:
                return
            self._db.execute("DELETE FROM events WHERE seq = ?", (seq,))
            self._db.execute("UPDATE ledger SET dropped = dropped + 1")

    def _remove_delivered(self) -> None:
        with self._transaction():
            self._delete_delivered()
        self._delivered.clear()

    def _sizes(self, seqs: Iterable[int]) -> dict[int, int]:
        """Bytes of those events that are in the file."""
        query = "SELECT length(body) FROM events WHERE seq = ?"
        rows = {seq: self._db.execute(query, (seq,)).fetchone() for seq in seqs}
        return {seq: row[0] for seq, row in rows.items() if row}

    def _delete_delivered(self) -> None:
        """In a transaction of somebody else's, who clears the set once it is over."""
        rows = [(seq,) for seq in self._delivered]
        self._db.executemany("DELETE FROM events WHERE seq = ?", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One that also notes the losses counted meanwhile, and the time."""
        with transaction(self._db):
            yield
            note = "UPDATE ledger SET dropped = dropped + ?, lived_s = ?"
            self._db.execute(note, (self._unnoted_drops, self._now_s()))
        self._unnoted_drops = 0
        self._figures = self._read_figures()

    def _read_figures(self) -> Figures:
        query = "SELECT last_seq, depth, bytes, dropped FROM ledger"
        return Figures(*self._db.execute(query).fetchone())

    def _read_shown(self) -> frozenset[str]:
        return frozenset(row[0] for row in self._db.execute("SELECT identity FROM shown"))

    def _read_lived_s(self) -> float:
        (lived_s,) = self._db.execute("SELECT lived_s FROM ledger").fetchone()
        return float(lived_s)

    def _now_s(self) -> float:
        return self._clock() + self._clock_offset_s
