"""The SQLite file under the outbox: open it, know it for ours, set a damaged one aside."""

from __future__ import annotations

import glob
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge_reid.core.errors import OutboxError
from edge_reid.delivery.outbox_mark import Mark
from edge_reid.delivery.outbox_row import Row, find_rows

APPLICATION_ID = 0x65724F42
"""`erOB` in the header of the file: this is an outbox."""
SCHEMA_VERSION = 2
LOCK_TIMEOUT_S = 1.0
PAGE_BYTES = 1024
"""Room for one event. Every change writes whole pages, and an SD card wears by what is written."""

_MAGIC = b"SQLite format 3\0"
_VERSIONS_AT = slice(18, 20)
_APPLICATION_ID_AT = slice(68, 72)
_PARTS = ("", "-wal", "-shm")
_ASIDE = ".damaged-"

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
device goes back when an upgrade is taken back, passes the table over and can go on with the file.
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """An outbox that is open."""

    db: sqlite3.Connection
    set_aside: Path | None = None
    """Where a damaged one is now."""
    saved: tuple[Row, ...] = ()
    """Whole events found in the damaged one, oldest first; not in the new one yet."""
    shown: frozenset[str] = frozenset()
    """Whose state lay at the broker, as far as the damaged one says; as above."""


def open_or_replace(path: Path, mark: Mark | None) -> Opened:
    """The outbox at `path`, made if missing; a damaged one is set aside, and a new one started.

    Raises:
        OutboxError: it cannot be opened, is in use, is no file, or is some other database.
    """
    _refuse_what_is_not_ours(path)
    if _has_lost_its_file(path, mark) or _is_read_only_by_a_flip(path):
        return set_aside(path, mark)
    try:
        return Opened(_open(path))
    except sqlite3.Error as error:
        if any(sign in str(error) for sign in ("locked", "is full")):
            raise OutboxError(_explain(path, error)) from error
        return set_aside(path, mark, because=error)


def set_aside(path: Path, mark: Mark | None, *, because: Exception | None = None) -> Opened:
    """Set a damaged outbox aside and start a new one.

    The damaged one may have numbered events up to anything, so the new one goes on from a time in
    milliseconds: above any count of events, and a gap that tells consumers of the loss. The time
    is now or when the damaged file was last written, whichever is later: the clock may have been
    set back since, and `seq` must rise.

    Whether the file is damaged or nothing can be opened here, SQLite does not say for sure. So the
    new one is made first: where that works, it was the file.

    Raises:
        OutboxError: no new one can be made, or the old one not be moved.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}{_ASIDE}{stamp}")
    new = path.with_name(f"{path.name}.new")
    try:
        latest_ns = max([time.time_ns(), *(it.stat().st_mtime_ns for it in _parts(path))])
        last_seq = max(latest_ns // 1_000_000, mark.last_seq if mark else 0)
        _make(new, last_seq)
        saved, shown = _save(path, first_seq=mark.first_seq if mark else 0), _shown_in(path)
        for part in _parts(path):
            part.chmod(0o600)
            part.rename(aside.with_name(aside.name + part.name[len(path.name) :]))
        new.rename(path)
        return Opened(_open(path), aside, saved, shown)
    except (OSError, sqlite3.Error) as error:
        new.unlink(missing_ok=True)
        raise OutboxError(_explain(path, because or error)) from error


def start_afresh(path: Path, last_seq: int) -> sqlite3.Connection:
    """A new file in the place of one that holds nothing any more, and cannot be written either.

    Raises:
        OSError, sqlite3.Error: there is no room for that.
    """
    _make(path, last_seq)
    return _open(path)


def remove_set_aside(path: Path) -> None:
    """Overwrite and remove every outbox that was ever set aside here: names may stand in it.

    Raises:
        OSError: one of them stays.
    """
    for file in path.parent.glob(f"{glob.escape(path.name)}{_ASIDE}*"):
        if file.is_file() and not file.is_symlink():
            _overwrite(file)
        file.unlink()


def save_from_log(path: Path, after_seq: int) -> tuple[Row, ...]:
    """Whole events above a number that stand in the log, where SQLite does not look any more."""
    return _save(path.with_name(f"{path.name}-wal"), first_seq=after_seq + 1, parts=("",))


def is_in_use(path: Path) -> bool:
    """Whether an agent has the outbox open. Asking does not wait."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return "locked" in str(error)
    return False


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, not merely the disk full or the lock taken."""
    signs = ("malformed", "not a database", "no such", "constraint", "corrupt")
    return any(sign in str(error) for sign in signs)


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk may take no more; a quota comes as an I/O error."""
    return any(sign in str(error) for sign in ("full", "I/O error"))


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


def _refuse_what_is_not_ours(path: Path) -> None:
    """Before anything is changed: a device stays as it is, and so does another program's file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # SQLite meets the same trouble, and says more of it
    if not stat.S_ISREG(mode):
        raise OutboxError(f"outbox {path}: expected a file, got {_kind(mode)}; give another path")
    if _has_log(path):  # in which the head may stand as well
        return
    with suppress(OSError), path.open("rb") as file:
        head = file.read(_APPLICATION_ID_AT.stop)
        mark = int.from_bytes(head[_APPLICATION_ID_AT], "big")
        is_marked = (mark ^ APPLICATION_ID).bit_count() <= 1  # one may have flipped
        if head.startswith(_MAGIC) and not is_marked and _is_whole_database(path):
            raise OutboxError(f"outbox {path}: is another kind of database; give another path")


def _is_whole_database(path: Path) -> bool:
    with suppress(sqlite3.Error, ValueError), _untouched(path) as db:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    return False


@contextmanager
def _untouched(path: Path) -> Iterator[sqlite3.Connection]:
    """A database that stays as it is, whatever is found in it; without what its log has."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        yield db


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "a pipe or a socket")


def _has_lost_its_file(path: Path, mark: Mark | None) -> bool:
    """Whether something must have been where nothing is: SQLite would take it for a new one."""
    if path.exists() and path.stat().st_size:
        return False
    return _has_log(path) or (mark is not None and mark.last_seq > 0)


def _is_read_only_by_a_flip(path: Path) -> bool:
    """Two bytes of the head say how the file is written and read; SQLite never has them differ, and
    would take events in no more.
    """
    with suppress(OSError), path.open("rb") as file:
        head = file.read(_VERSIONS_AT.stop)
        return head.startswith(_MAGIC) and len(set(head[_VERSIONS_AT])) > 1
    return False


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _open(path: Path) -> sqlite3.Connection:
    with suppress(OSError):
        path.touch(0o600)  # where somebody was is nobody else's business
    db = sqlite3.connect(
        path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")  # a bit may have flipped
    try:
        _set_up(path, db)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        db.close()
        raise sqlite3.DatabaseError(f"malformed: {error}") from error
    except BaseException:
        db.close()
        raise
    return db


def _set_up(path: Path, db: sqlite3.Connection) -> None:
    db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two agents would send each event twice
    is_new = db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if not is_new:
        _check_ours(path, db)
    with suppress(OSError):
        path.chmod(0o600)  # one of an older version was everybody's to read
        path.with_name(f"{path.name}-wal").chmod(0o600)
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; an old one keeps its own
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")  # names leave the disk with what told them
    db.execute("PRAGMA temp_store = MEMORY")  # and are in no file that is not ours
    if is_new:
        _create(db, 0)
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # its head says whose it is
    _migrate(db)
    db.execute(_SHOWN)
    db.execute("SELECT seq, topic, body, committed_s FROM events LIMIT 1").fetchone()
    db.execute("SELECT last_seq, depth, bytes, dropped, lived_s, session FROM ledger").fetchone()
    db.execute("SELECT identity FROM shown").fetchall()


def _make(path: Path, last_seq: int) -> None:
    """A new file that is whole: closed, and without a log."""
    for part in _parts(path):
        part.unlink()
    db = _open(path)
    try:
        with transaction(db):
            db.execute("UPDATE ledger SET last_seq = ?", (last_seq,))
    finally:
        db.close()


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
    """What the tables are says more than two numbers in the header, in which a bit may flip."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    found = _version_by_tables(db)
    if found is None and application_id != APPLICATION_ID:
        raise OutboxError(f"outbox {path}: is another kind of database; give another path")
    if found is None and version > SCHEMA_VERSION:
        raise OutboxError(
            f"outbox {path}: expected version {SCHEMA_VERSION}, got {version} of a newer"
            " edge-reid; upgrade, or give another path"
        )
    (finding,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(f"malformed: {finding}")
    if found is not None and (application_id, version) != (APPLICATION_ID, found):
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {found}")


def _version_by_tables(db: sqlite3.Connection) -> int | None:
    """The version whose tables these are, to the letter; None: of no version we know."""
    ours = _tables(db)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        _create(model, 0)
        for version in range(1, SCHEMA_VERSION + 1):
            if _tables(model) == ours:
                return version
            for statement in _SINCE_VERSION.get(version, ()):
                model.execute(statement)
    return None


def _tables(db: sqlite3.Connection) -> set[tuple[str, str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE name != 'shown' AND sql IS NOT NULL"
    return set(db.execute(query))


def _save(path: Path, *, first_seq: int, parts: tuple[str, ...] = _PARTS) -> tuple[Row, ...]:
    rows: dict[int, Row] = {}
    for part in _parts(path, parts):
        with suppress(OSError):
            rows.update((row.seq, row) for row in find_rows(part.read_bytes()))
    return tuple(rows[seq] for seq in sorted(rows) if seq >= first_seq)


def _shown_in(path: Path) -> frozenset[str]:
    """Of a damaged file, which stays as it is."""
    with suppress(sqlite3.Error, ValueError), _untouched(path) as db:
        return frozenset(name for (name,) in db.execute("SELECT identity FROM shown"))
    return frozenset()


def _parts(path: Path, suffixes: tuple[str, ...] = _PARTS) -> list[Path]:
    parts = [path.with_name(path.name + suffix) for suffix in suffixes]
    return [part for part in parts if part.exists()]


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())


def _explain(path: Path, error: Exception) -> str:
    if "locked" in str(error):
        return f"outbox {path}: is in use by another edge-reid; stop it, or give another path"
    return f"outbox {path}: cannot be opened: {error}; check the folder and its permissions"
