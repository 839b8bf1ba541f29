"""Connections to SQLite files of ours: opened, made whole, changed at once or not at all, wiped."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from edge_reid.storage.database import Database, is_unwritable


def connect(file: Database, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that waits so long for other writers, and overwrites what is deleted.

    What cannot be written, or lies on a full disk, can still be read through it.

    Raises:
        EdgeReidError of the kind: it cannot be opened.
    """
    uri = file.path.resolve().as_uri()
    with file.explained():
        try:
            return _checked(f"{uri}?mode=rw", busy_timeout_s)
        except sqlite3.OperationalError as error:
            if file.is_out_of_room(error):
                return _connect_without_room(file, uri, busy_timeout_s)
            if not is_unwritable(error) or file.has_log:
                raise
        # A read-only folder has no room for the log's index, but then nobody writes there either.
        return _checked(f"{uri}?mode=ro&immutable=1", busy_timeout_s)


@contextmanager
def untouched(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, whatever it finds, and does not see what is in a log."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


@contextmanager
def reserved(file: Database) -> Iterator[None]:
    """A new file that only its owner may read, for the block to fill; gone when that fails.

    Raises:
        EdgeReidError of the kind: there is a file already, or none can be made.
    """
    try:
        os.close(os.open(file.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise file.uncreatable(error) from error
    try:
        with file.explained():
            yield
    except BaseException:
        with suppress(OSError):
            file.path.unlink(missing_ok=True)
        raise


@contextmanager
def made_beside(
    file: Database, busy_timeout_s: float, like: sqlite3.Connection | None = None
) -> Iterator[sqlite3.Connection]:
    """A new file for the block to fill in one transaction; it is at its path when it is whole.

    It begins as a copy of `like`. If another thread or process was quicker, its file stays.

    Raises:
        EdgeReidError of the kind: none can be made there.
    """
    number = threading.get_native_id()  # of no other thread, whichever process it is of
    beside = replace(file, path=file.path.with_name(f"{file.path.name}.{number}.new"))
    with suppress(OSError):  # where nothing can be removed, making it says why
        beside.path.unlink(missing_ok=True)  # of one of our number that was killed
    with reserved(beside), closed_on_error(connect(beside, busy_timeout_s)) as connection:
        if like:
            like.backup(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            yield connection
        connection.close()
    with suppress(FileExistsError):
        os.link(beside.path, file.path)
    beside.path.unlink()


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The connection, left open unless the block raises."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All of the block or, when it raises, nothing."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite itself has rolled back after some errors
            connection.execute("ROLLBACK")
        raise


def wipe(file: Database, connection: sqlite3.Connection, *, shrink: bool = False) -> None:
    """Leave no byte of what was deleted, in the file or in its log.

    `secure_delete` has written zeros over deleted rows, but so far only in the log, beside older
    pages that still hold them: it is moved into the file, and emptied.

    Args:
        file: that the connection is open on.
        connection: outside of a transaction.
        shrink: also write the file anew, without the pages that are free; takes longer.

    Raises:
        EdgeReidError of the kind: another program is reading: try again later.
    """
    with file.explained():
        if shrink and connection.execute("PRAGMA freelist_count").fetchone() != (0,):
            connection.execute("VACUUM")
        is_emptied = empty_log(connection)
    if not is_emptied:
        raise file.trouble(
            "removed, but another program is reading, so that traces stay in "
            f"{file.log.name} until it is done; stop it to be sure, or try again"
        )


def empty_log(connection: sqlite3.Connection) -> bool:
    """Move all of the write-ahead log into the file; False: another program is reading.

    Raises:
        sqlite3.Error: there is no room for that.
    """
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def is_writable(file: Database, connection: sqlite3.Connection) -> bool:
    """Whether changes are possible at all; another program's lock does not count."""
    try:
        with transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version}")  # a lock alone is always given
    except sqlite3.OperationalError as error:
        if is_unwritable(error) or file.is_out_of_room(error):
            return False
        raise
    return True


def check_writable(file: Database, connection: sqlite3.Connection) -> None:
    """Raise DamagedError if nothing but the file's own head says that nobody may write to it."""
    is_free = os.access(file.path, os.W_OK) and os.access(file.path.parent, os.W_OK)
    with suppress(sqlite3.OperationalError):  # locked: another program can write to it
        if is_free and not is_writable(file, connection) and not file.is_disk_full:
            raise file.damaged()


def _connect_without_room(file: Database, uri: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Without the index of the log, for which there is no room. Nobody else can write there either.

    What still stands in a log is moved into the file, by way of an index in memory, which only one
    program at a time may have.
    """
    if file.has_log:
        alone = _checked(f"{uri}?mode=rw", busy_timeout_s, "PRAGMA locking_mode = EXCLUSIVE")
        if not _is_log_emptied(alone):
            return alone
        alone.close()
    return _checked(f"{uri}?mode=ro&immutable=1", busy_timeout_s)


def _is_log_emptied(connection: sqlite3.Connection) -> bool:
    try:
        return empty_log(connection)
    except sqlite3.OperationalError:
        return False


def _checked(uri: str, busy_timeout_s: float, *first: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
    with closed_on_error(connection):
        for statement in (*first, "PRAGMA foreign_keys = ON", "PRAGMA secure_delete = ON"):
            connection.execute(statement)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # touches the file
    return connection
