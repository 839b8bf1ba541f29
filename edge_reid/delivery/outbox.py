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
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.errors import OutboxError
from edge_reid.delivery.outbox_file import (
    OUTBOX,
    Opened,
    is_full,
    open_or_replace,
    remove_quarantined,
    replace_damaged,
    save_from_log,
    start_afresh,
)
from edge_reid.delivery.outbox_mark import Mark, MarkFile
from edge_reid.delivery.outbox_room import Room
from edge_reid.delivery.outbox_row import Row, RowError, read_row
from edge_reid.delivery.outbox_tables import OutboxStats, OutboxTables
from edge_reid.storage.database import Database, is_damage
from edge_reid.storage.sqlite import transaction
from edge_reid.wire.events import OutgoingEvent
from edge_reid.wire.payloads import CameraEvent

LINGER_S = 5.0
"""After an event, the next is expected within so many seconds; it takes delivered ones along."""
_SEQ_MAX = 2**53
"""Beyond it a number is no count of events or milliseconds: a bit has flipped."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Outbox(ClosedAfterUse):
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
            outbox is no error: `quarantined` says where it is now, and a new one has the events
            that are whole in it.
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
        self._file = Database(path, OUTBOX)
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
        opened = open_or_replace(self._file, noted)
        try:
            self._begin(opened, noted)
        except (sqlite3.Error, TypeError, ValueError) as error:  # it is not what it says to be
            opened.db.close()
            if isinstance(error, sqlite3.Error) and is_full(error):
                raise self._file.trouble(f"{error}; make room on the disk") from error
            self._begin(replace_damaged(self._file, noted, because=error), noted)

    def put(self, event: OutgoingEvent) -> int | None:
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

    def inherit(self, events: Iterable[tuple[str, CameraEvent]]) -> int:
        """Commit events of another outbox, each with its topic, under the next numbers of ours.

        Returns for how many there was room: nothing of ours gives way to them.

        Raises:
            OutboxError: the disk would not take them.
        """
        entries = tuple(events)
        with self._lock:
            taken = self._guarded(lambda: self._insert_inherited(entries))
            self._note()
            return taken

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
                self._delivered.update(self._guarded(lambda: self._tables.sizes(known)))
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

        A file that was quarantined goes as well, since names may stand in it.
        """
        with self._lock:
            try:
                self._written(self._wipe)
                remove_quarantined(self.path)
            except (OutboxError, OSError) as error:
                _log.warning("names may be left on the disk; trying again: %s", error)
                return False
            return True

    @property
    def session(self) -> str:
        """Of the agent that last went online from here; empty before the first."""
        return self._guarded(lambda: self._tables.session)

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

    @property
    def oldest_age_s(self) -> float | None:
        """Since the oldest event that waits was committed, while the agent ran; None: none waits.

        Raises:
            OutboxError: the disk fails.
        """
        oldest = self.pending(limit=1)
        return max(0.0, self._now_s() - oldest[0].committed_s) if oldest else None

    def close(self) -> None:
        with self._lock:
            self._last_put_s = -LINGER_S
            self.tidy()
            self._db.close()
            self._room.leave()

    def _begin(self, opened: Opened, noted: Mark | None) -> None:
        """Go on with a file that was opened, and with what is known of the one before it."""
        self._db, self.quarantined = opened.db, opened.quarantined
        self._tables = OutboxTables(self._db)
        self._room = Room(self.path, self._db, self._max_bytes)
        self._figures = self._tables.stats
        saved = self._take_stock(opened, noted)
        self._figures = self._tables.stats  # exact, since nobody else has the file open
        self._shown |= self._tables.shown
        self._clock_offset_s = self._tables.lived_s(self._max_age_s) - self._clock()
        if opened.is_kept:
            _log.error(
                "outbox %s: is damaged, and may never have been one: it is kept as %s, and a new "
                "one is started; look whether it is yours, and delete it if it is not",
                *(self.path, opened.quarantined),
            )
        elif opened.quarantined:
            _log.error(
                "outbox %s: was damaged: quarantined as %s until the next erasure is confirmed; %d "
                "events were saved from it",
                *(self.path, opened.quarantined, saved),
            )
        self._note()

    def _take_stock(self, opened: Opened, noted: Mark | None) -> int:
        """Bring in what can be saved, correct the ledger, and count what is lost; returns how
        many events were saved.
        """
        last_seq = max(self._plausible_seq(noted), self._tables.newest_seq)
        saved = opened.saved
        noted = noted or Mark(last_seq, dropped=self._figures.dropped)
        if opened.quarantined:
            lost = noted.depth - len(saved)
        else:
            saved = save_from_log(self._file, last_seq) if noted.last_seq > last_seq else ()
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
        return (found.last_seq, found.depth, found.bytes) == (last_seq, *self._tables.counted)

    def _correct(self, last_seq: int, saved: Iterable[Row], shown: Iterable[str]) -> None:
        with transaction(self._db):
            self._tables.insert_missing(saved)
            self._tables.insert_shown(shown)
            self._tables.correct(last_seq)

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
                raise self._file.trouble(f"{error}; check the disk") from error

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
        opened = replace_damaged(self._file, self._mark.read(), because=error)
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
            opened = Opened(start_afresh(self._file, noted.last_seq))
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
        oldest = self._tables.oldest_seq
        return self._figures.last_seq + 1 if oldest is None else oldest

    def _read(
        self, after_seq: int, limit: int, without: Collection[str]
    ) -> tuple[tuple[Row, ...], list[int]]:
        """Rows, and the numbers of those that are damaged."""
        while self._is_oldest_expired():
            self._with_room(self._drop_expired)
        rows: list[Row] = []
        damaged: list[int] = []
        for columns in self._tables.read(after_seq, limit + len(self._delivered), without):
            if columns[0] in self._delivered:
                continue
            try:
                rows.append(read_row(*columns))
            except RowError as error:
                _log.error("event %d is damaged and dropped: %s", columns[0], error)
                damaged.append(columns[0])
        return tuple(rows[:limit]), damaged

    def _count(self, topics: Collection[str]) -> int:
        return sum(seq not in self._delivered for seq in self._tables.seqs_of(topics))

    def _write_session(self, session: str) -> None:
        with self._transaction():
            self._tables.note_session(session)

    def _write_shown(self, names: Collection[str]) -> None:
        if names:
            with self._transaction():
                self._tables.insert_shown(names)

    def _delete_shown(self, names: Iterable[str]) -> None:
        with self._transaction():
            self._tables.delete_shown(names)

    def _commit(self, event: OutgoingEvent) -> int:
        names = frozenset([event.named] if event.named else [])
        going = tuple(islice(self._delivered, self._room.batch))
        with self._transaction():
            seq = self._tables.last_seq + 1
            row = Row(seq, event.topic, self._now_s(), event.payload(seq).to_json().encode())
            self._tables.delete(going)
            self._drop_oldest(len(row.to_bytes()))
            self._tables.insert(row)
            self._tables.insert_shown(names - self._shown)
        self._forget_delivered(going)
        self._shown |= names
        return seq

    def _insert_inherited(self, events: Iterable[tuple[str, CameraEvent]]) -> int:
        self._room.before_writing()
        names: set[str] = set()
        taken = 0
        with self._transaction():
            for topic, event in events:
                seq = self._tables.last_seq + 1
                body = event.model_copy(update={"seq": seq}).to_json().encode()
                row = Row(seq, topic, self._now_s(), body)
                if self._room.is_tight(len(row.to_bytes())):
                    break
                self._tables.insert(row)
                names |= {event.named} if event.named else set()
                taken += 1
            self._tables.insert_shown(names - self._shown)
        self._shown |= names
        return taken

    def _drop_oldest(self, incoming_bytes: int) -> None:
        """Drop the oldest events while they are too old or too much, so many at a time."""
        for _ in range(self._room.batch):
            if not (self._is_oldest_expired() or self._room.is_tight(incoming_bytes)):
                return
            self._tables.drop_oldest()

    def _drop_expired(self) -> None:
        self._remove_delivered()
        with self._transaction():
            self._drop_oldest(0)

    def _is_oldest_expired(self) -> bool:
        oldest_s = self._tables.committed_s(newest=False)
        return oldest_s is not None and self._now_s() - oldest_s > self._max_age_s

    def _remove_delivered(self) -> None:
        while going := tuple(islice(self._delivered, self._room.batch)):
            with self._transaction():
                self._tables.delete(going)
            self._forget_delivered(going)

    def _forget_delivered(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            del self._delivered[seq]

    def _wipe(self) -> None:
        self._remove_delivered()
        self._delete_shown(self._tables.shown - self._shown)  # which a full disk had refused
        self._db.execute("VACUUM")
        self._room.empty_log()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One that also notes the losses counted meanwhile, and the time."""
        with transaction(self._db):
            yield
            self._tables.note(dropped=self._unnoted_drops)
            self._tables.note_lived(self._now_s())
        self._unnoted_drops = 0
        self._figures = self._tables.stats

    def _now_s(self) -> float:
        return self._clock() + self._clock_offset_s
