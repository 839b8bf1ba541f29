"""The SQLite file of a replica: made, known for ours, and made anew where the disk has spoilt it.

All of value in it can be had again from the gallery's source, so a damaged one never stops an
agent: whatever can be shown to be whole is carried over, and sync fetches the rest. Nothing is kept
of the damaged file, for it holds people who may be erased tomorrow.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress

from edge_reid.core.errors import DamagedError, GalleryError
from edge_reid.gallery.gallery_tables import REPLICA_APPLICATION_ID
from edge_reid.signing.blobs import ref_of
from edge_reid.storage.database import Database, DatabaseKind
from edge_reid.storage.quarantine import remove
from edge_reid.storage.row_checksums import check_table, seal
from edge_reid.storage.soundness import migrate, open_sound
from edge_reid.storage.sqlite import connect, made_beside

BUSY_TIMEOUT_S = 10.0

_TABLES = (
    """CREATE TABLE heads (
        version INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL,
        root_sha256 TEXT NOT NULL,
        root_bytes INTEGER NOT NULL,
        left_utc_s REAL  -- NULL: in force
    )""",
    "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE erased (place TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE ledger (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        highest INTEGER NOT NULL,  -- version ever taken: none below is taken any more
        purged_through INTEGER NOT NULL,  -- no byte of an older version is in the file
        traces INTEGER NOT NULL  -- 1: what was deleted may still stand in the log
    )""",
    "INSERT INTO ledger VALUES (1, 0, 0, 0)",
)
REPLICA = DatabaseKind(
    noun="replica",
    application_id=REPLICA_APPLICATION_ID,
    migrations=(_TABLES,),
    keys={"heads": "version", "erased": "place", "ledger": "only_row"},  # a blob's name is its hash
    description="the copy of a published gallery",
    if_other="a device that syncs needs a path of its own, sync makes the file",
    if_damaged="restart the agent, which makes it anew",
)
_log = logging.getLogger(__name__)


def open_or_make(file: Database) -> sqlite3.Connection:
    """The file of a replica; made if there is none, and made anew if it is damaged.

    Raises:
        GalleryError: it is of another kind, of a newer edge-reid, or cannot be made.
        NoRoomError: it is damaged, or not there, and the disk is full.
    """
    if not file.path.exists():
        with made_beside(file, BUSY_TIMEOUT_S) as connection:
            migrate(connection, REPLICA)
    try:
        return _open(file)
    except DamagedError:
        if _is_another_database(file):
            raise file.of_another_kind() from None
        _log.error(
            "replica %s: is damaged or cut short; what is whole of it is kept, and the rest is "
            "fetched anew",
            file.path,
        )
    _make_anew(file)
    return _open(file)


def _open(file: Database) -> sqlite3.Connection:
    if file.head().is_blank:
        raise file.damaged()
    with file.explained():
        return open_sound(file, BUSY_TIMEOUT_S)


def _is_another_database(file: Database) -> bool:
    """Whether its head says so, such as that of a gallery with people in it; one bit may have
    flipped.
    """
    head = file.head()
    other_bits = head.application_id ^ REPLICA.application_id
    return head.is_of_a_database and other_bits.bit_count() > 1


def _make_anew(file: Database) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, REPLICA)
        with (
            suppress(GalleryError, sqlite3.Error, UnicodeDecodeError),  # it may not even open
            closing(connect(file, BUSY_TIMEOUT_S)) as spoilt,
        ):
            _carry_over(spoilt, fresh)
        seal(fresh, REPLICA.keys)
        with file.explained():
            _write_over(file, fresh)


def _write_over(file: Database, fresh: sqlite3.Connection) -> None:
    """In the same file where that can be, as another agent of this device may have it open."""
    with suppress(DamagedError, sqlite3.DatabaseError):
        with closing(connect(file, BUSY_TIMEOUT_S)) as there:
            fresh.backup(there)
            there.execute("PRAGMA journal_mode = WAL")
            there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _open(file).close()
        return
    remove(file.path)
    with made_beside(file, BUSY_TIMEOUT_S, fresh):
        pass


def _carry_over(spoilt: sqlite3.Connection, fresh: sqlite3.Connection) -> None:
    """All blobs that have their hash, and heads, erasures and counts whose rows are as written."""
    for sha256, body in _readable_blobs(spoilt):
        if isinstance(body, bytes) and ref_of(body).sha256 == sha256:
            fresh.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (sha256, body))
    heads, erased, ledger = (_trusted(spoilt, table) for table in REPLICA.keys)
    if heads is not None and erased is not None:
        fresh.executemany("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", heads)
        fresh.executemany("INSERT INTO erased VALUES (?)", erased)
    (kept,) = fresh.execute("SELECT max(version) FROM heads").fetchone()
    highest = ledger[0][1] if ledger else kept or 0
    if kept is None:  # the newest comes again under its number
        highest = max(highest - 1, 0)
    fresh.execute("UPDATE ledger SET highest = ?, traces = 1", (highest,))


def _readable_blobs(spoilt: sqlite3.Connection) -> Iterator[tuple[object, object]]:
    """From both ends, up to where a page cannot be read."""
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error, UnicodeDecodeError):
            yield from spoilt.execute(f"SELECT sha256, body FROM blobs ORDER BY rowid {order}")  # noqa: S608
            return


def _trusted(spoilt: sqlite3.Connection, table: str) -> list[tuple[int, ...]] | None:
    try:
        check_table(spoilt, table, REPLICA.keys[table])
        return spoilt.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names
    except (sqlite3.Error, UnicodeDecodeError):
        return None
