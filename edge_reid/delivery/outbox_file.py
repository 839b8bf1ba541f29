"""The SQLite file under the outbox: open it, know it for ours, replace a damaged one."""

from __future__ import annotations

import sqlite3
import stat
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edge_reid.core.errors import EdgeReidError, OutboxError
from edge_reid.delivery.outbox_mark import Mark, MarkFile
from edge_reid.delivery.outbox_row import Row, find_rows, has_row
from edge_reid.storage import quarantine
from edge_reid.storage.database import Database, DatabaseKind
from edge_reid.storage.file_head import FileHead
from edge_reid.storage.quarantine import PARTS, parts_of
from edge_reid.storage.soundness import migrate
from edge_reid.storage.sqlite import closed_on_error, transaction, untouched

LOCK_TIMEOUT_S = 1.0
PAGE_BYTES = 1024
"""Room for one event. Every change writes whole pages, and an SD card wears by what is written."""

_PIECE_BYTES = 1 << 16
_DAMAGED = "damaged"
"""In the name of an outbox that was quarantined. It goes with the next erasure."""
_UNREADABLE = "unreadable"
"""In the name of what may never have been an outbox. It is its owner's to delete."""

_TABLES = (
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
)
OUTBOX = DatabaseKind(
    noun="outbox",
    application_id=0x65724F42,  # `erOB`
    migrations=(_TABLES, ("ALTER TABLE ledger ADD COLUMN session TEXT NOT NULL DEFAULT ''",)),
    keys={},  # a row has its checksum in its body: see outbox_row
    description="an outbox",
    if_other="give another path",
    if_damaged="check the disk",
    error=OutboxError,
)

_SHOWN = "CREATE TABLE IF NOT EXISTS shown (identity TEXT PRIMARY KEY) WITHOUT ROWID"
"""Whose retained state lies at the broker. No version of its own: a release before 0.4, to which a
device goes back when an upgrade is taken back, passes the table over and can go on with the file.
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """An outbox that is open."""

    db: sqlite3.Connection
    quarantined: Path | None = None
    """Where a damaged one is now."""
    is_kept: bool = False
    """Whether the damaged one may be somebody else's, so that no erasure takes it away."""
    saved: tuple[Row, ...] = ()
    """Whole events found in the damaged one, oldest first; not in the new one yet."""
    shown: frozenset[str] = frozenset()
    """Whose state lay at the broker, as far as the damaged one says; as above."""


def open_or_replace(file: Database, mark: Mark | None) -> Opened:
    """The outbox of a path, made if missing; a damaged one is quarantined, and a new one started.

    Raises:
        OutboxError: it cannot be opened, is in use, is no file, or is some other database.
    """
    _refuse_what_is_not_ours(file)
    if _has_lost_its_file(file, mark) or _is_read_only_by_a_flip(file.path):
        return replace_damaged(file, mark)
    try:
        return Opened(_open(file))
    except sqlite3.Error as error:
        if any(sign in str(error) for sign in ("locked", "is full")):
            raise _unopenable(file, error) from error
        return replace_damaged(file, mark, because=error)


def replace_damaged(
    file: Database, mark: Mark | None, *, because: Exception | None = None
) -> Opened:
    """Quarantine a damaged outbox and start a new one.

    The damaged one may have numbered events up to anything, so the new one goes on from a time in
    milliseconds: above any count of events, and a gap that tells consumers of the loss. The time
    is now or when the damaged file was last written, whichever is later: the clock may have been
    set back since, and `seq` must rise.

    Whether the file is damaged or nothing can be opened here, SQLite does not say for sure. So the
    new one is made first: where that works, it was the file.

    Raises:
        OutboxError: no new one can be made, or the old one not be moved.
    """
    path = file.path
    new = Database(path.with_name(f"{path.name}.new"), OUTBOX)
    try:
        latest_ns = max([time.time_ns(), *(part.stat().st_mtime_ns for part in parts_of(path))])
        _make(new, max(latest_ns // 1_000_000, mark.last_seq if mark else 0))
        saved, shown = _save(path, first_seq=mark.first_seq if mark else 0), _shown_in(path)
        was_ours = bool(saved or shown) or MarkFile(path).is_there or _has_our_id(path)
        for part in parts_of(path):
            part.chmod(0o600)
        quarantined = quarantine.quarantine_file(path, _DAMAGED if was_ours else _UNREADABLE)
        new.path.rename(path)
        return Opened(_open(file), quarantined, is_kept=not was_ours, saved=saved, shown=shown)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):  # where nothing can be written, nothing can be removed either
            new.path.unlink(missing_ok=True)
        raise _unopenable(file, because or error) from error


def start_afresh(file: Database, last_seq: int) -> sqlite3.Connection:
    """A new file in the place of one that holds nothing any more, and cannot be written either.

    Raises:
        OSError, sqlite3.Error: there is no room for that.
    """
    _make(file, last_seq)
    return _open(file)


def remove_quarantined(path: Path) -> None:
    """Overwrite and remove every outbox that was ever quarantined here: names may stand in it.

    What may be somebody else's file stays.

    Raises:
        OSError: one of them stays.
    """
    quarantine.remove_quarantined(path, _DAMAGED)


def save_from_log(file: Database, after_seq: int) -> tuple[Row, ...]:
    """Whole events above a number that stand in the log, where SQLite does not look any more."""
    return _save(file.log, first_seq=after_seq + 1, parts=("",))


def is_in_use(path: Path) -> bool:
    """Whether an agent has the outbox open. Asking does not wait."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return "locked" in str(error)
    return False


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk may take no more; a quota comes as an I/O error."""
    return any(sign in str(error) for sign in ("full", "I/O error"))


def _refuse_what_is_not_ours(file: Database) -> None:
    """Before anything is changed: a device stays as it is, and so does another program's file."""
    path = file.path
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # SQLite meets the same trouble, and says more of it
    if not stat.S_ISREG(mode):
        raise file.trouble(f"expected a file, got {_sort_of(mode)}; give another path")
    with suppress(OSError):
        if _has_our_id(path):
            return
        if FileHead.read(path).is_of_a_database:
            if not file.has_log and _is_whole_database(path):  # the log may say whose it is
                raise file.of_another_kind()
        elif not (MarkFile(path).is_there or _is_blank(path) or _has_events(path)):
            raise file.of_another_kind()


def _has_our_id(path: Path) -> bool:
    """Whether its head says that it is an outbox; one bit may have flipped in that."""
    with suppress(OSError):
        other_bits = FileHead.read(path).application_id ^ OUTBOX.application_id
        return other_bits.bit_count() <= 1
    return False


def _is_blank(path: Path) -> bool:
    """Whether there is nothing in it, as in a file that was lost in a power cut."""
    with path.open("rb") as file:
        return not any(any(piece) for piece in iter(lambda: file.read(_PIECE_BYTES), b""))


def _has_events(path: Path) -> bool:
    """Whether a whole event of ours can be read from it or its log, whatever its head is now."""
    for part in parts_of(path):
        with part.open("rb") as file:
            if has_row(file):
                return True
    return False


def _is_whole_database(path: Path) -> bool:
    with suppress(sqlite3.Error, ValueError), untouched(path) as db:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    return False


def _sort_of(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "a pipe or a socket")


def _has_lost_its_file(file: Database, mark: Mark | None) -> bool:
    """Whether something must have been where nothing is: SQLite would take it for a new one."""
    if file.path.exists() and file.path.stat().st_size:
        return False
    return file.has_log or (mark is not None and mark.last_seq > 0)


def _is_read_only_by_a_flip(path: Path) -> bool:
    """Whether SQLite would take events in no more, because a bit has flipped in the head."""
    with suppress(OSError):
        return FileHead.read(path).is_read_only
    return False


def _open(file: Database) -> sqlite3.Connection:
    with suppress(OSError):
        file.path.touch(0o600)  # where somebody was is nobody else's business
    db = sqlite3.connect(
        file.path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")  # a bit may have flipped
    with closed_on_error(db):
        try:
            _set_up(file, db)
        except (TypeError, ValueError, OverflowError) as error:
            raise sqlite3.DatabaseError(f"malformed: {error}") from error
    return db


def _set_up(file: Database, db: sqlite3.Connection) -> None:
    db.execute("PRAGMA locking_mode = EXCLUSIVE")  # two agents would send each event twice
    is_new = _has_no_tables(db)
    if not is_new:
        _check_ours(file, db)
    with suppress(OSError):
        file.path.chmod(0o600)  # one of an older version was everybody's to read
        file.log.chmod(0o600)
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; an old one keeps its own
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")  # names leave the disk with what told them
    db.execute("PRAGMA temp_store = MEMORY")  # and are in no file that is not ours
    if is_new:
        _create(db)
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # its head says whose it is
    if db.execute("PRAGMA user_version").fetchone()[0] < OUTBOX.format:
        with transaction(db):
            migrate(db, OUTBOX)
    db.execute(_SHOWN)
    db.execute("SELECT seq, topic, body, committed_s FROM events LIMIT 1").fetchone()
    db.execute("SELECT last_seq, depth, bytes, dropped, lived_s, session FROM ledger").fetchone()
    db.execute("SELECT identity FROM shown").fetchall()


def _has_no_tables(db: sqlite3.Connection) -> bool:
    """Whether the file is new; one that was cut off while it was made has a page at most.

    Raises:
        sqlite3.DatabaseError: events may lie in it, since it is longer than that: a bit has flipped
            in its first page, so that SQLite finds no table any more.
    """
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        return False
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    if pages > 1:
        raise sqlite3.DatabaseError(f"malformed: no table in {pages} pages")
    return True


def _make(file: Database, last_seq: int) -> None:
    """A new file that is whole: closed, and without a log."""
    quarantine.remove(file.path)
    with closing(_open(file)) as db, transaction(db):
        db.execute("UPDATE ledger SET last_seq = ?", (last_seq,))


def _create(db: sqlite3.Connection) -> None:
    """Make the tables of version 1. What came later comes by migration, as in a file that is older:
    so both take the same pages, on which the room of a full disk is counted.
    """
    with transaction(db):
        migrate(db, replace(OUTBOX, migrations=OUTBOX.migrations[:1]))
        db.execute("INSERT INTO ledger (last_seq) VALUES (0)")


def _check_ours(file: Database, db: sqlite3.Connection) -> None:
    """What the tables are says more than two numbers in the header, in which a bit may flip."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    found = _version_by_tables(db)
    if found is None and application_id != OUTBOX.application_id:
        raise file.of_another_kind()
    if found is None and version > OUTBOX.format:
        raise file.newer(version)
    (finding,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(f"malformed: {finding}")
    if found is not None and (application_id, version) != (OUTBOX.application_id, found):
        db.execute(f"PRAGMA application_id = {OUTBOX.application_id}")
        db.execute(f"PRAGMA user_version = {found}")


def _version_by_tables(db: sqlite3.Connection) -> int | None:
    """The version whose tables these are, to the letter; None: of no version we know."""
    ours = _tables(db)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for version, statements in enumerate(OUTBOX.migrations, start=1):
            for statement in statements:
                model.execute(statement)
            if _tables(model) == ours:
                return version
    return None


def _tables(db: sqlite3.Connection) -> set[tuple[str, str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE name != 'shown' AND sql IS NOT NULL"
    return set(db.execute(query))


def _save(path: Path, *, first_seq: int, parts: tuple[str, ...] = PARTS) -> tuple[Row, ...]:
    rows: dict[int, Row] = {}
    for part in parts_of(path, parts):
        with suppress(OSError):
            rows.update((row.seq, row) for row in find_rows(part.read_bytes()))
    return tuple(rows[seq] for seq in sorted(rows) if seq >= first_seq)


def _shown_in(path: Path) -> frozenset[str]:
    """Of a damaged file, which stays as it is."""
    with suppress(sqlite3.Error, ValueError), untouched(path) as db:
        return frozenset(name for (name,) in db.execute("SELECT identity FROM shown"))
    return frozenset()


def _unopenable(file: Database, error: Exception) -> EdgeReidError:
    if "locked" in str(error):
        return file.trouble("is in use by another edge-reid; stop it, or give another path")
    if isinstance(error, sqlite3.Error) and file.is_out_of_room(error):
        return file.trouble("the disk is full; make room, or give another path")
    return file.trouble(f"cannot be opened: {error}; check the folder and its permissions")
