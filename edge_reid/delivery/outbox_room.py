"""How much room an outbox takes on its disk, and how it goes on when there is none.

The log is as long from the start as it ever gets, and is written over and over; what it brings into
the file later has its room in a reserve. So events can be taken out of an outbox that has filled
its disk, and new ones go where they were.

Log and reserve are a share of the cap or, on a disk without room for that, of what is free there.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from edge_reid.delivery.outbox_reserve import Reserve, allocate

_BATCH_MAX = 128
_BATCH_MIN = 4
_EVENT_PAGES = 8
"""More than an event ever changes: its own, those above it, the ledger, a name, the free list."""
_UNLIMITED_PAGES = 2**31 - 2
_FRAME_HEAD_BYTES = 24
_LOG_HEAD_BYTES = 32


@dataclass(frozen=True, slots=True)
class Shares:
    """How so much room is divided; what neither log nor reserve has is for the file."""

    batch: int
    """So many events may be removed in one transaction."""
    log_bytes: int
    reserve_bytes: int

    @classmethod
    def of(cls, room_bytes: int, page_bytes: int) -> Shares:
        """Of a room of so many bytes; they need 44 pages at least, even of one that is smaller."""
        batch = min(_BATCH_MAX, max(_BATCH_MIN, room_bytes // page_bytes // 16))
        log_pages = 2 * batch + _EVENT_PAGES  # one transaction may come on top of a full log
        return cls(
            batch,
            log_bytes=_LOG_HEAD_BYTES + log_pages * (_FRAME_HEAD_BYTES + page_bytes),
            reserve_bytes=(log_pages + batch + _EVENT_PAGES) * page_bytes,
        )

    @property
    def size_bytes(self) -> int:
        """Of log and reserve together, the file not counted."""
        return self.log_bytes + self.reserve_bytes


class Room:
    """The room of one open file. Not for several threads.

    Args:
        max_bytes: of everything: the file, its log and the reserve.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, max_bytes: int) -> None:
        self._db = db
        self._log = path.with_name(f"{path.name}-wal")
        self._reserve = Reserve(path)
        self._page_bytes = self._pragma("page_size")
        self._whole = Shares.of(max_bytes, self._page_bytes)
        pages = (max_bytes - self._whole.size_bytes) // self._page_bytes
        self._pages_max = max(2 * _EVENT_PAGES, pages)
        self._divide(self._whole)
        if not self._may_grow and self._log_size_bytes < self._whole.log_bytes:
            free_bytes = min(max_bytes, self._free_bytes + self._log_size_bytes)
            self._divide(Shares.of(free_bytes, self._page_bytes))
        allocate(self._log, self._shares.log_bytes)

    @property
    def batch(self) -> int:
        """So many events may be removed in one transaction."""
        return self._shares.batch

    def is_tight(self, event_bytes: int) -> bool:
        """Whether an event does not fit under the cap; in a transaction, as that has it so far."""
        growth = max(0, self._pages_max - self._pragma("page_count"))
        needed = _EVENT_PAGES // 2 + event_bytes // self._page_bytes
        return self._pragma("freelist_count") + growth < needed

    def before_writing(self) -> None:
        """Take the reserve again if it was given up, or one of the whole size as soon as there is
        room for it, and keep the log short.

        Raises:
            sqlite3.Error: the log cannot be brought into the file.
        """
        if self._shares != self._whole and self._is_room_for_the_whole:
            self._divide(self._whole)
            allocate(self._log, self._shares.log_bytes)
        elif not self._may_grow and self._reserve.take(self._shares.reserve_bytes):
            self._set_growth(allowed=True)
        if self._is_log_too_long:
            self.empty_log()

    def give_way(self) -> bool:
        """The disk is full: give the reserve to the log, and have the file grow no more.

        Returns False when it was given already, so that nothing is better than before.

        Raises:
            sqlite3.Error: somebody else has taken the room.
        """
        if not self._may_grow:
            return False
        self._reserve.release()
        self._set_growth(allowed=False)
        if self._is_log_too_long:
            self.empty_log()
        else:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            allocate(self._log, self._shares.log_bytes)
        return True

    def empty_log(self) -> None:
        """Bring all of the log into the file, and leave nothing in it.

        Raises:
            sqlite3.Error: there is no room for that.
        """
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        allocate(self._log, self._shares.log_bytes)

    def leave(self) -> None:
        """Once the file is closed, and its log gone: keep what room there is for the next start."""
        if not self._reserve.take(self._shares.reserve_bytes):
            self._reserve.take(self._shares.log_bytes)

    def _divide(self, shares: Shares) -> None:
        self._shares = shares
        self._pragma(f"wal_autocheckpoint = {shares.batch}")
        self._set_growth(allowed=self._reserve.take(shares.reserve_bytes))

    @property
    def _is_room_for_the_whole(self) -> bool:
        held_bytes = self._reserve.held_bytes + self._log_size_bytes
        return self._free_bytes + held_bytes >= self._whole.size_bytes

    @property
    def _free_bytes(self) -> int:
        try:
            found = os.statvfs(self._log.parent)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    @property
    def _is_log_too_long(self) -> bool:
        """SQLite says nothing of it when it cannot bring the log into the file by itself."""
        return self._log_size_bytes > self._shares.log_bytes

    @property
    def _log_size_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _set_growth(self, *, allowed: bool) -> None:
        self._may_grow = allowed
        self._pragma(f"max_page_count = {_UNLIMITED_PAGES if allowed else 1}")  # 1: as it is now

    def _pragma(self, what: str) -> int:
        return int(self._db.execute(f"PRAGMA {what}").fetchone()[0])
