"""How much room an outbox takes on its disk, and how it goes on when there is none.

The log is as long from the start as it ever gets, and is written over and over; what it brings into
the file later has its room in a reserve. So events can be taken out of an outbox that has filled
its disk, and new ones go where they were.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge_reid.delivery.outbox_reserve import Reserve, allocate

_BATCH_MAX = 128
_BATCH_MIN = 4
_EVENT_PAGES = 8
"""More than an event ever changes: its own, those above it, the ledger, a name, the free list."""
_UNLIMITED_PAGES = 2**31 - 2
_FRAME_HEAD_BYTES = 24
_LOG_HEAD_BYTES = 32


class Room:
    """The room of one open file. Not for several threads.

    Args:
        max_bytes: of everything: the file, its log and the reserve.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, max_bytes: int) -> None:
        self._db = db
        self._log = path.with_name(f"{path.name}-wal")
        self._page_bytes = self._pragma("page_size")
        pages = max_bytes // self._page_bytes
        self.batch = min(_BATCH_MAX, max(_BATCH_MIN, pages // 16))
        """So many events may be removed in one transaction."""
        log_pages = 2 * self.batch + _EVENT_PAGES  # one transaction may come on top of a full log
        self._log_bytes = _LOG_HEAD_BYTES + log_pages * (_FRAME_HEAD_BYTES + self._page_bytes)
        reserve_bytes = (log_pages + self.batch + _EVENT_PAGES) * self._page_bytes
        self._reserve = Reserve(path, reserve_bytes)
        taken_bytes = self._log_bytes + reserve_bytes
        self._pages_max = max(2 * _EVENT_PAGES, (max_bytes - taken_bytes) // self._page_bytes)
        self._pragma(f"wal_autocheckpoint = {self.batch}")
        self._may_grow = True
        self._set_growth(allowed=self._reserve.take())
        allocate(self._log, self._log_bytes)

    def is_tight(self, event_bytes: int) -> bool:
        """Whether an event does not fit under the cap; in a transaction, as that has it so far."""
        growth = max(0, self._pages_max - self._pragma("page_count"))
        needed = _EVENT_PAGES // 2 + event_bytes // self._page_bytes
        return self._pragma("freelist_count") + growth < needed

    def before_writing(self) -> None:
        """Take the reserve again if it was given up, and keep the log short.

        Raises:
            sqlite3.Error: the log cannot be brought into the file.
        """
        if not self._may_grow and self._reserve.take():
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
            allocate(self._log, self._log_bytes)
        return True

    def empty_log(self) -> None:
        """Bring all of the log into the file, and leave nothing in it.

        Raises:
            sqlite3.Error: there is no room for that.
        """
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        allocate(self._log, self._log_bytes)

    def leave(self) -> None:
        """Once the file is closed, and its log gone: keep what room there is for the next start."""
        if not self._reserve.take():
            self._reserve.take(self._log_bytes)

    @property
    def _is_log_too_long(self) -> bool:
        """SQLite says nothing of it when it cannot bring the log into the file by itself."""
        try:
            return self._log.stat().st_size > self._log_bytes
        except OSError:
            return False

    def _set_growth(self, *, allowed: bool) -> None:
        self._may_grow = allowed
        self._pragma(f"max_page_count = {_UNLIMITED_PAGES if allowed else 1}")  # 1: as it is now

    def _pragma(self, what: str) -> int:
        return int(self._db.execute(f"PRAGMA {what}").fetchone()[0])
