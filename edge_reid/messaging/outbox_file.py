"""The SQLite file under the outbox: open it, know it for ours, set a damaged one aside."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from edge_reid.core.errors import OutboxError

APPLICATION_ID = 0x65724F42
"""`erOB` in the header of the file: this is an outbox."""
SCHEMA_VERSION = 2
LOCK_TIMEOUT_S = 1.0
PAGE_BYTES = 1024
"""Room for one event. Every change writes whole pages, and an SD card wears by what is written."""

_SCHEMA = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        topic TEXT NOT NULL,
        body BLOB NOT NULL,
        committed_s REAL NOT NULL  -- on the outbox's own clock
    )""",
    """CREATE TABLE ledger (
        last_seq INTEGER NOT NULL,
        depth INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        dropped INTEGER NOT NULL DEFAULT 0,
        lived_s REAL NOT NULL DEFAULT 0  -- the outbox's own clock
    )""",
    """CREATE TRIGGER enter AFTER INSERT ON events BEGIN
        UPDATE ledger SET last_seq = NEW.seq, depth = depth + 1, bytes = bytes + length(NEW.body);
    END""",
    """CREATE TRIGGER leave AFTER DELETE ON events BEGIN
        UPDATE ledger SET depth = depth - 1, bytes = bytes - length(OLD.body);
    END""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    "PRAGMA user_version = 1",
)

_SINCE_VERSION = {
    1: (
        "ALTER TABLE ledger ADD COLUMN session TEXT NOT NULL DEFAULT ''",
        "PRAGMA user_version = 2",
    )
}
"""What brings a file of one version to the next; each step is one transaction."""

_SHOWN = "CREATE TABLE IF NOT EXISTS shown (identity TEXT PRIMARY KEY) WITHOUT ROWID"
"""Whose retained state lies at the broker. No version of its own: a release before 0.4, to which a
box goes back when an upgrade is taken back, passes the table over and can go on with the file.
"""


def open_or_replace(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """The outbox at `path`, made if missing; and where a damaged one was set aside, if it was.

    Raises:
        OutboxError: it cannot be opened, is in use, or is some other database.
    """
    try:
        return _open(path, last_seq=0), None
    except sqlite3.Error as error:
        if not is_damage(error):
            raise OutboxError(_explain(path, error)) from error
    return set_aside(path)


def set_aside(path: Path) -> tuple[sqlite3.Connection, Path]:
    """Set a damaged outbox aside and start a new one; also returns where the old one is now.

    The damaged one may have numbered events up to anything, so the new one goes on from a time in
    milliseconds: above any count of events, and a gap that tells consumers of the loss. The time
    is now or when the damaged file was last written, whichever is later: the clock may have been
    set back since, and `seq` must rise.

    Raises:
        OutboxError: the file cannot be moved, or no new one be made.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        latest_ns = time.time_ns()
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                latest_ns = max(latest_ns, part.stat().st_mtime_ns)
                part.rename(aside.with_name(aside.name + suffix))
        return _open(path, last_seq=latest_ns // 1_000_000), aside
    except (OSError, sqlite3.Error) as error:
        raise OutboxError(_explain(path, error)) from error


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, not merely the disk full or the lock taken."""
    return any(sign in str(error) for sign in ("malformed", "not a database"))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it is on disk afterwards, or none of it ever was."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself has rolled back after some errors
            db.execute("ROLLBACK")
        raise


def _open(path: Path, *, last_seq: int) -> sqlite3.Connection:
    with suppress(OSError):  # SQLite meets the same trouble, and says more of it
        # where somebody was is nobody else's business; the log gets the file's own mode
        path.touch(0o600)
        path.chmod(0o600)  # one of an older version was everybody's to read
    db = sqlite3.connect(
        path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two agents would send each event twice
        is_new = db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not is_new:
            _check_ours(path, db)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; an old one keeps its own
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")  # names leave the disk with what told them
        if is_new:
            _create(db, last_seq)
        _migrate(db)
        db.execute(_SHOWN)
    except BaseException:
        db.close()
        raise
    return db


def _create(db: sqlite3.Connection, last_seq: int) -> None:
    with transaction(db):
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO ledger (last_seq) VALUES (?)", (last_seq,))


def _migrate(db: sqlite3.Connection) -> None:
    while (version := db.execute("PRAGMA user_version").fetchone()[0]) < SCHEMA_VERSION:
        with transaction(db):
            for statement in _SINCE_VERSION[version]:
                db.execute(statement)


def _check_ours(path: Path, db: sqlite3.Connection) -> None:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise OutboxError(f"outbox {path}: is another kind of database; give another path")
    if version > SCHEMA_VERSION:
        raise OutboxError(
            f"outbox {path}: expected version {SCHEMA_VERSION}, got {version} of a newer"
            " edge-reid; upgrade, or give another path"
        )
    (finding,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(f"malformed: {finding}")


def _explain(path: Path, error: Exception) -> str:
    if "locked" in str(error):
        return f"outbox {path}: is in use by another edge-reid; stop it, or give another path"
    return f"outbox {path}: cannot be opened: {error}; check the folder and its permissions"
