"""The durable store that events wait in until the broker has them.

One SQLite file (write-ahead log, synced to disk at every event), open in one process at a time.
An event is in it before the network hears of it, and leaves it when the broker has acknowledged
it. `seq` is given at commit and rises by one; a gap on the wire says that events were dropped.

Beside the events stands whose state the broker keeps because of them, until it is cleared there.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from edge_reid.core.errors import OutboxError
from edge_reid.core.types import Known
from edge_reid.delivery.outbox_file import (
    Opened,
    is_damage,
    is_full,
    open_or_replace,
    remove_set_aside,
    save_from_log,
    set_aside,
    start_afresh,
    transaction,
)
from edge_reid.delivery.outbox_mark import Mark, MarkFile
from edge_reid.delivery.outbox_room import Room
from edge_reid.delivery.outbox_row import Row, RowError, read_row
from edge_reid.wire.events import Event

LINGER_S = 5.0
"""After an event, the next is expected within so many seconds; it takes delivered ones along."""
_SEQ_MAX = 2**53
"""Beyond it a number is no count of events or milliseconds: a bit has flipped."""
_COLUMNS = "seq, CAST(topic AS BLOB), body, committed_s"

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


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


class Outbox:
    """Events on disk, oldest first. Several threads may use it.

    The age of an event counts while the agent runs, not by the wall clock: a device without a
    battery clock wakes up years ago, and must not lose its events when the clock is set. So a
    clock that jumps ages nothing, and hours without power do not count; the byte cap bounds what
    such a device can hold.

    A disk that is full refuses events, and takes them again as soon as others have been delivered,
    whether or not it is full still: see `Room`.

    Args:
        max_bytes: of its files on the disk; beyond it the oldest events go.
        max_age_s: older ones go.
        clock: seconds that only ever rise while this process lives, as `time.monotonic` does.

    Raises:
        OutboxError: the file cannot be opened, is in use, or is some other database. A damaged
            outbox is no error: it is set aside, named in `set_aside`, and a new one started with
            the events that are whole in it.
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
        self._last_put_s = -LINGER_S
        self._clock_offset_s = 0.0
        self._shown: frozenset[str] = frozenset()
        self._broken: sqlite3.Error | None = None  # why there is no file to work on
        self._mark = MarkFile(path)
        noted = self._mark.read()
        opened = open_or_replace(path, noted)
        try:
            self._begin(opened, noted)
        except (sqlite3.Error, TypeError, ValueError) as error:  # it is not what it says to be
            opened.db.close()
            if isinstance(error, sqlite3.Error) and is_full(error):
                raise OutboxError(f"outbox {path}: {error}; make room on the disk") from error
            self._begin(set_aside(path, noted, because=error), noted)

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
                return self._written(lambda: self._commit(event))
            except OutboxError as error:
                if not self._unnoted_drops:  # once: a full disk has no room for a long log
                    _log.error("events are lost from now on: %s", error)
                self._unnoted_drops += 1
                self._note()
                return None

    def pending(
        self, after_seq: int = 0, limit: int = 100, *, without: Collection[str] = ()
    ) -> tuple[Row, ...]:
        """The oldest events numbered above `after_seq`, in order, but of the topics `without`.

        One that cannot be read any more is dropped and counted.

        Raises:
            OutboxError: the disk fails.
        """
        with self._lock:
            rows, damaged = self._guarded(lambda: self._read(after_seq, limit, without))
            if damaged:
                self.discard(*damaged)
            return rows

    def count(self, topics: Collection[str]) -> int:
        """How many events of these topics wait.

        Raises:
            OutboxError: the disk fails.
        """
        return self._guarded(lambda: self._count(topics)) if topics else 0

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
            if not self._delivered or (is_busy and len(self._delivered) < self._room.batch):
                return
            try:
                self._written(self._remove_delivered)
            except OutboxError as error:
                _log.warning("delivered events stay for now: %s", error)
                if not self.figures.depth:
                    self._start_afresh()

    def discard(self, *seqs: int) -> None:
        """Drop events that cannot be sent, and count them."""
        with self._lock:
            self._unnoted_drops += len(seqs)
            self.acknowledge(seqs)

    def wipe(self) -> bool:
        """Leave no byte of what has gone, in no file of this outbox; False: not now.

        A file that was set aside goes as well, since names may stand in it.
        """
        with self._lock:
            try:
                self._written(self._wipe)
                remove_set_aside(self.path)
            except (OutboxError, OSError) as error:
                _log.warning("names may be left on the disk; trying again: %s", error)
                return False
            return True

    @property
    def session(self) -> str:
        """Of the agent that last went online from here; empty before the first."""
        query = "SELECT session FROM ledger"
        return str(self._guarded(lambda: self._db.execute(query).fetchone()[0]))

    def note_session(self, session: str) -> None:
        """Remember who goes online now. A full disk may refuse; that costs no event."""
        with self._lock:
            try:
                self._written(lambda: self._write_session(session))
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
                self._written(lambda: self._write_shown(new))
            except OutboxError as error:
                _log.warning("whose states are to be cleared is not noted: %s", error)

    def forget_shown(self, names: frozenset[str]) -> None:
        """The states of these are cleared. What the disk refuses to forget is cleared again."""
        with self._lock:
            self._shown -= names
            try:
                self._written(lambda: self._delete_shown(names))
            except OutboxError as error:
                _log.warning("cleared states will be cleared again: %s", error)

    @property
    def figures(self) -> OutboxStats:
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
            self._room.leave()

    def _begin(self, opened: Opened, noted: Mark | None) -> None:
        """Go on with a file that was opened, and with what is known of the one before it."""
        self._db, self.set_aside = opened.db, opened.set_aside
        self._room = Room(self.path, self._db, self._max_bytes)
        self._figures = self._read_figures()
        saved = self._take_stock(opened, noted)
        self._figures = self._read_figures()  # exact, since nobody else has the file open
        self._shown |= self._read_shown()
        self._clock_offset_s = self._read_lived_s() - self._clock()
        if opened.set_aside:
            _log.error(
                "outbox %s: was damaged: set aside as %s until the next erasure is confirmed; %d "
                "events were saved from it",
                *(self.path, opened.set_aside, saved),
            )
        self._note()

    def _take_stock(self, opened: Opened, noted: Mark | None) -> int:
        """Bring in what can be saved, correct the ledger, and count what is lost; returns how
        many events were saved.
        """
        (newest,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        last_seq, saved = max(self._plausible_seq(noted), newest), opened.saved
        noted = noted or Mark(last_seq, dropped=self._figures.dropped)
        if opened.set_aside:
            lost = noted.depth - len(saved)
        else:
            saved = save_from_log(self.path, last_seq) if noted.last_seq > last_seq else ()
            lost = noted.last_seq - max(last_seq, noted.first_seq - 1) - len(saved)
        if lost > 0:
            _log.error("outbox %s: %d events are lost: the disk is damaged", self.path, lost)
        last_seq = max([last_seq, noted.last_seq, *(row.seq for row in saved)])
        shown = opened.shown | self._shown
        if saved or shown or not self._is_ledger_right(last_seq):
            self._with_room(lambda: self._correct(last_seq, saved, shown))
        dropped = max(self._figures.dropped, noted.dropped) + max(0, lost)
        self._unnoted_drops = dropped - self._figures.dropped
        return len(saved)

    def _plausible_seq(self, noted: Mark | None) -> int:
        if 0 <= self._figures.last_seq < _SEQ_MAX:
            return self._figures.last_seq
        return 0 if noted else time.time_ns() // 1_000_000

    def _is_ledger_right(self, last_seq: int) -> bool:
        found = self._figures
        return (found.last_seq, found.depth, found.bytes) == (last_seq, *self._counted())

    def _correct(self, last_seq: int, saved: Iterable[Row], shown: Iterable[str]) -> None:
        with transaction(self._db):
            self._insert(saved)
            self._insert_shown(shown)
            figures = (last_seq, *self._counted())
            self._db.execute("UPDATE ledger SET last_seq = ?, depth = ?, bytes = ?", figures)

    def _counted(self) -> tuple[int, int]:
        """How many events there are, and their bytes."""
        query = "SELECT count(*), coalesce(sum(length(body)), 0) FROM events"
        count, size_bytes = self._db.execute(query).fetchone()
        return count, size_bytes

    def _written(self, work: Callable[[], _T]) -> _T:
        """Do work that writes, and note how far it has come. Where the disk has no room for it, the
        reserve is given for it.

        Raises:
            OutboxError: the disk does not take it.
        """
        done = self._guarded(lambda: self._with_room(work))
        self._note()
        return done

    def _with_room(self, work: Callable[[], _T]) -> _T:
        try:
            self._room.before_writing()
            return work()
        except sqlite3.Error as error:
            if not is_full(error) or not self._room.give_way():
                raise
            return work()

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Do work on the file. If it turns out damaged, start over and do the work once more."""
        with self._lock:
            try:
                return self._unless_damaged(work)
            except sqlite3.Error as error:
                raise OutboxError(f"outbox {self.path}: {error}; check the disk") from error

    def _unless_damaged(self, work: Callable[[], _T]) -> _T:
        try:
            if self._broken:
                raise self._broken
            return work()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._start_over(error)
            return work()
        except (TypeError, UnicodeDecodeError) as error:  # of what SQLite found in the file
            self._start_over(sqlite3.DatabaseError(f"malformed: {error}"))
            return work()

    def _start_over(self, error: sqlite3.Error) -> None:
        """Go on with a new file, and with the events that are whole in the damaged one.

        Raises:
            OutboxError: there can be no new one for now.
        """
        self._broken = error
        self._db.close()
        _log.error("outbox %s: %s", self.path, error)
        before, delivered = self.figures, tuple(self._delivered)
        opened = set_aside(self.path, self._mark.read(), because=error)
        saved = tuple(row for row in opened.saved if row.seq not in delivered)
        self._broken = None
        self._delivered.clear()
        noted = Mark(before.last_seq, 0, before.depth, before.dropped)
        self._begin(replace(opened, saved=saved), noted)

    def _start_afresh(self) -> None:
        """Nothing waits in a file that cannot even be emptied: another one takes its place."""
        noted = replace(self._mark_now, first_seq=self._figures.last_seq + 1)
        try:
            session = self.session
            self._db.close()
            opened = Opened(start_afresh(self.path, noted.last_seq))
            self._delivered.clear()
            self._begin(opened, noted)
            self._written(lambda: self._write_session(session))
        except (OutboxError, OSError, sqlite3.Error) as error:
            _log.warning("outbox %s: cannot be started afresh: %s", self.path, error)

    def _note(self) -> None:
        with suppress(sqlite3.Error):
            self._mark.write(self._mark_now)

    @property
    def _mark_now(self) -> Mark:
        figures = self.figures
        return Mark(figures.last_seq, self._first_seq, figures.depth, figures.dropped)

    @property
    def _first_seq(self) -> int:
        oldest = self._db.execute("SELECT seq FROM events ORDER BY seq LIMIT 1").fetchone()
        return int(oldest[0]) if oldest else self._figures.last_seq + 1

    def _read(
        self, after_seq: int, limit: int, without: Collection[str]
    ) -> tuple[tuple[Row, ...], list[int]]:
        """Rows, and the numbers of those that are damaged."""
        while self._is_oldest_expired():
            self._with_room(self._drop_expired)
        other_topics = f"AND topic NOT IN ({', '.join('?' * len(without))})" if without else ""
        query = f"SELECT {_COLUMNS} FROM events WHERE seq > ? {other_topics} ORDER BY seq LIMIT ?"  # noqa: S608
        rows: list[Row] = []
        damaged: list[int] = []
        for columns in self._db.execute(
            query, (after_seq, *without, limit + len(self._delivered))
        ).fetchall():
            if columns[0] in self._delivered:
                continue
            try:
                rows.append(read_row(*columns))
            except RowError as error:
                _log.error("event %d is damaged and dropped: %s", columns[0], error)
                damaged.append(columns[0])
        return tuple(rows[:limit]), damaged

    def _count(self, topics: Collection[str]) -> int:
        query = f"SELECT seq FROM events WHERE topic IN ({', '.join('?' * len(topics))})"  # noqa: S608
        return sum(seq not in self._delivered for (seq,) in self._db.execute(query, (*topics,)))

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
        going = tuple(islice(self._delivered, self._room.batch))
        with self._transaction():
            (last_seq,) = self._db.execute("SELECT last_seq FROM ledger").fetchone()
            seq = int(last_seq) + 1
            row = Row(seq, event.topic, self._now_s(), event.payload(seq).to_json().encode())
            self._delete(going)
            self._drop_oldest(len(row.to_bytes()))
            columns = (row.seq, row.topic, row.to_bytes(), row.committed_s)
            self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", columns)
            self._insert_shown(names - self._shown)
        self._forget_delivered(going)
        self._shown |= names
        return seq

    def _insert(self, rows: Iterable[Row]) -> None:
        """Those that are not there yet."""
        columns = [(row.seq, row.topic, row.to_bytes(), row.committed_s) for row in rows]
        self._db.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", columns)

    def _drop_oldest(self, incoming_bytes: int) -> None:
        """Drop the oldest events while they are too old or too much, so many at a time."""
        for _ in range(self._room.batch):
            if not (self._is_oldest_expired() or self._room.is_tight(incoming_bytes)):
                return
            gone = self._db.execute(
                "DELETE FROM events WHERE seq = (SELECT min(seq) FROM events)"
            ).rowcount
            self._db.execute("UPDATE ledger SET dropped = dropped + ?", (gone,))

    def _drop_expired(self) -> None:
        self._remove_delivered()
        with self._transaction():
            self._drop_oldest(0)

    def _is_oldest_expired(self) -> bool:
        query = f"SELECT {_COLUMNS} FROM events ORDER BY seq LIMIT 1"  # noqa: S608
        oldest = self._db.execute(query).fetchone()
        if oldest is None:
            return False
        try:
            return self._now_s() - read_row(*oldest).committed_s > self._max_age_s
        except RowError:  # which goes when it is read
            return False

    def _remove_delivered(self) -> None:
        while going := tuple(islice(self._delivered, self._room.batch)):
            with self._transaction():
                self._delete(going)
            self._forget_delivered(going)

    def _forget_delivered(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            del self._delivered[seq]

    def _sizes(self, seqs: Iterable[int]) -> dict[int, int]:
        """Bytes of those events that are in the file."""
        query = "SELECT length(body) FROM events WHERE seq = ?"
        rows = {seq: self._db.execute(query, (seq,)).fetchone() for seq in seqs}
        return {seq: row[0] for seq, row in rows.items() if row}

    def _delete(self, seqs: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq in seqs])

    def _wipe(self) -> None:
        self._remove_delivered()
        self._delete_shown(self._read_shown() - self._shown)  # which a full disk had refused
        self._db.execute("VACUUM")
        self._room.empty_log()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One that also notes the losses counted meanwhile, and the time."""
        with transaction(self._db):
            yield
            note = "UPDATE ledger SET dropped = dropped + ?, lived_s = ?"
            self._db.execute(note, (self._unnoted_drops, self._now_s()))
        self._unnoted_drops = 0
        self._figures = self._read_figures()

    def _read_figures(self) -> OutboxStats:
        query = "SELECT last_seq, depth, bytes, dropped FROM ledger"
        return OutboxStats(*self._db.execute(query).fetchone())

    def _read_shown(self) -> frozenset[str]:
        return frozenset(row[0] for row in self._db.execute("SELECT identity FROM shown"))

    def _read_lived_s(self) -> float:
        """The outbox's own clock; by the newest event where a bit has flipped in it."""
        (lived_s,) = self._db.execute("SELECT lived_s FROM ledger").fetchone()
        query = f"SELECT {_COLUMNS} FROM events ORDER BY seq DESC LIMIT 1"  # noqa: S608
        try:
            newest_s = max(
                (read_row(*it).committed_s for it in self._db.execute(query)), default=None
            )
        except RowError:
            newest_s = None
        if newest_s is None:
            return float(lived_s) if math.isfinite(lived_s) else 0.0
        is_plausible = newest_s <= lived_s <= newest_s + self._max_age_s
        return float(lived_s) if is_plausible else newest_s

    def _now_s(self) -> float:
        return self._clock() + self._clock_offset_s
