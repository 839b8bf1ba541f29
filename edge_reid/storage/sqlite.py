"""A gallery file as an SQLite connection, whose troubles are told in one line."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_reid.core.errors import DamagedError, GalleryError, NoRoomError

_MARK = slice(68, 72)
"""Where an SQLite file has its `application_id`."""
ROOM_BYTES = 1 << 16
"""A disk with less is full: the index of a write-ahead log alone takes half of it."""


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """A new file that only its owner may read, for the block to fill; gone when that fails."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise GalleryError(
            f"gallery {path}: there is a file already; use it, or give another path"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise no_room(path) from error
        raise GalleryError(
            f"gallery {path}: cannot be created: {error.strerror}; "
            "give a path in a folder that you may write"
        ) from error
    try:
        with in_one_line(path):
            yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that waits so long for other writers, and overwrites what is deleted.

    What cannot be written, or lies on a full disk, can still be read through it.
    """
    uri = path.resolve().as_uri()
    with in_one_line(path):
        try:
            return _checked(f"{uri}?mode=rw", busy_timeout_s)
        except sqlite3.OperationalError as error:
            if _is_out_of_room(path, error):
                return _connect_without_room(path, uri, busy_timeout_s)
            if not _is_unwritable(error) or _has_log(path):
                raise
        # A read-only folder has no room for the log's index, but then nobody writes there either.
        return _checked(f"{uri}?mode=ro&immutable=1", busy_timeout_s)


@contextmanager
def made_beside(
    path: Path, busy_timeout_s: float, like: sqlite3.Connection | None = None
) -> Iterator[sqlite3.Connection]:
    """A new file for the block to fill in one transaction; it stands at `path` when it is whole.

    It begins as a copy of `like`. If another process was quicker, its file stays.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)  # of a process of our number that was killed
    with reserved(beside), closed_on_error(connect(beside, busy_timeout_s)) as connection:
        if like:
            like.backup(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            yield connection
        connection.close()
    with suppress(FileExistsError):
        os.link(beside, path)
    beside.unlink()


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
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@contextmanager
def in_one_line(path: Path) -> Iterator[None]:
    """Raises GalleryError for whatever SQLite raises in the block."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(path, error) from error
    except UnicodeDecodeError as error:  # of what SQLite says, with a table's spoilt name in it
        raise damaged(path) from error


def is_writable(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether changes are possible at all; another program's lock does not count."""
    try:
        with transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version}")  # a lock alone is always given
    except sqlite3.OperationalError as error:
        if _is_unwritable(error) or _is_out_of_room(path, error):
            return False
        raise
    return True


def check_writable(path: Path, connection: sqlite3.Connection) -> None:
    """Nothing, unless only the file's own head says that nobody may write to it.

    Raises:
        DamagedError: it does.
    """
    is_free = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    with suppress(sqlite3.OperationalError):  # locked: another program can write to it
        if is_free and not is_writable(path, connection) and not _is_full(path):
            raise damaged(path)


_DAMAGE = (
    *("malformed", "not a database", "unsupported file format", "Could not decode"),
    *("no such table", "no such column", "no such index", "already exists", "too big"),
    *("constraint failed", "foreign key mismatch", "datatype mismatch", "syntax error"),
)
"""What SQLite says of a file that is broken: our own statements are right."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, not merely the disk full or the lock taken."""
    return any(sign in str(error) for sign in _DAMAGE)


def not_a_gallery(path: Path) -> GalleryError:
    """The error to raise for a file of another kind."""
    return GalleryError(
        f"gallery {path}: expected a gallery, got another kind of file; "
        "make one with `edge-reid gallery init`"
    )


def damaged(path: Path) -> DamagedError:
    """The error to raise for a gallery that cannot be trusted any more."""
    return DamagedError(
        f"gallery {path}: the file is damaged or cut short; restore it from a copy, or enroll again"
    )


def no_room(path: Path) -> NoRoomError:
    """The error to raise when there is no room for a change."""
    return NoRoomError(
        f"gallery {path}: the disk is full, so that it can be read but not changed; make room"
    )


def _connect_without_room(path: Path, uri: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Without the index of the log, for which there is no room. Nobody else can write there either.

    What still stands in a log is moved into the file, by way of an index in memory, which only one
    program at a time may have.
    """
    if _has_log(path):
        alone = _checked(f"{uri}?mode=rw", busy_timeout_s, "PRAGMA locking_mode = EXCLUSIVE")
        if not _empties_log(alone):
            return alone
        alone.close()
    return _checked(f"{uri}?mode=ro&immutable=1", busy_timeout_s)


def _empties_log(connection: sqlite3.Connection) -> bool:
    try:
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    return not busy


def _checked(uri: str, busy_timeout_s: float, *first: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
    with closed_on_error(connection):
        for statement in (*first, "PRAGMA foreign_keys = ON", "PRAGMA secure_delete = ON"):
            connection.execute(statement)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # touches the file
    return connection


def _is_unwritable(error: sqlite3.Error) -> bool:
    return any(words in str(error) for words in ("unable to open", "readonly"))


def _is_out_of_room(path: Path, error: sqlite3.Error) -> bool:
    """Whether it was for want of room: SQLite calls that by several names."""
    said = str(error)
    if "is full" in said:
        return True
    return ("disk I/O error" in said or _is_unwritable(error)) and _is_full(path)


def _is_full(path: Path) -> bool:
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    # a file system that counts no files says that it has room for none
    return found.f_bavail * found.f_frsize < ROOM_BYTES or (found.f_files > 0 == found.f_favail)


def is_blank(path: Path) -> bool:
    """Whether the file begins with nothing, as one does that was lost in a power cut.

    Raises:
        GalleryError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return not any(file.read(16))
    except OSError as error:
        raise GalleryError(
            f"gallery {path}: cannot be read: {error.strerror}; check its owner and mode"
        ) from error


def _has_a_mark_of_ours(path: Path) -> bool:
    """Whether it is no database only because its first bytes are others: ours is `er` and two."""
    try:
        with path.open("rb") as file:
            return file.read(_MARK.stop)[_MARK].lower().startswith(b"er")
    except OSError:
        return False


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _explain(path: Path, error: sqlite3.Error) -> GalleryError:
    said = str(error)  # Python 3.10 has no error codes
    if "locked" in said:
        return GalleryError(
            f"gallery {path}: locked by another program; wait for it or stop it, then try again"
        )
    if _is_out_of_room(path, error):
        return no_room(path)
    if _is_unwritable(error):
        return GalleryError(
            f"gallery {path}: cannot be written here; check the owner and the mode of the file and "
            "its folder; if they let you, the file is damaged: restore it from a copy"
        )
    if "not a database" in said and not _has_a_mark_of_ours(path):
        return not_a_gallery(path)
    if is_damage(error):
        return damaged(path)
    return GalleryError(f"gallery {path}: {said}")
