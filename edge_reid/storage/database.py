"""An SQLite file of ours: of which kind it is, and its troubles in one line that names it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.errors import DamagedError, EdgeReidError, GalleryError, NoRoomError
from edge_reid.storage.file_head import FileHead
from edge_reid.storage.row_checksums import Keys

Statements = tuple[str, ...]
"""What makes or changes the tables of a file, in order."""

ROOM_BYTES = 1 << 16
"""A disk with less is full: the index of a write-ahead log alone takes half of it."""

_DAMAGE = (
    *("malformed", "corrupt", "not a database", "unsupported file format", "Could not decode"),
    *("no such", "unknown function", "already exists", "too big", "constraint"),
    *("foreign key mismatch", "datatype mismatch", "syntax error"),
)
"""What SQLite says of a file that is broken: our own statements are right."""


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """What a feature keeps in its SQLite file, and what messages say of such a file."""

    noun: str
    """What messages begin with: `gallery`, `strangers`, …"""
    application_id: int
    """In the head of the file: `er` and two letters, in ASCII."""
    migrations: tuple[Statements, ...]
    """What brings a file from one format to the next, from 0 on. `user_version` counts those that
    it has seen. One that was released is never edited: a change of the tables is a further entry.
    """
    keys: Keys
    """Of the tables whose rows have checksums; empty: no row has one."""
    description: str
    """As in `expected a gallery, got another kind of file`."""
    if_other: str
    """What to do about a file of another kind."""
    if_damaged: str
    """What to do about a file that is damaged."""
    error: type[EdgeReidError] = GalleryError
    """What a trouble is raised as."""

    @property
    def format(self) -> int:
        """The newest `user_version`."""
        return len(self.migrations)


@dataclass(frozen=True, slots=True)
class Database:
    """A file of a kind, whether or not it is there."""

    path: Path
    kind: DatabaseKind

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Inside, whatever SQLite raises is an error of ours, in one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except UnicodeDecodeError as error:  # of what SQLite says, with a table's spoilt name in it
            raise self.damaged() from error

    def trouble(self, what: str) -> EdgeReidError:
        """The error to raise for something that is wrong with the file."""
        return self.kind.error(f"{self.kind.noun} {self.path}: {what}")

    def of_another_kind(self) -> EdgeReidError:
        """The error to raise for somebody else's file, or an empty one."""
        if self._is_empty:
            return self.trouble(
                f"expected {self.kind.description}, got an empty file; restore it from a copy, or "
                "delete it and start anew"
            )
        return self.trouble(
            f"expected {self.kind.description}, got another kind of file; {self.kind.if_other}"
        )

    def newer(self, version: int) -> EdgeReidError:
        """The error to raise for a file of a format that we do not know."""
        return self.trouble(
            f"expected format {self.kind.format} or older, got {version}, written by a newer "
            f"edge-reid; update this one"
        )

    def damaged(self) -> DamagedError:
        """The error to raise for a file that cannot be trusted any more."""
        return DamagedError(
            f"{self.kind.noun} {self.path}: the file is damaged or cut short; "
            f"{self.kind.if_damaged}"
        )

    def no_room(self) -> NoRoomError:
        """The error to raise when there is no room for a change."""
        return NoRoomError(
            f"{self.kind.noun} {self.path}: the disk is full, so that it can be read but not "
            "changed; make room"
        )

    def uncreatable(self, error: OSError) -> EdgeReidError:
        """The error to raise when no file can be made there."""
        if isinstance(error, FileExistsError):
            if self._is_empty:
                return self.trouble(
                    "there is a file already, which is empty; delete it, or give another path"
                )
            return self.trouble("there is a file already; use it, or give another path")
        if error.errno == errno.ENOSPC:
            return self.no_room()
        return self.trouble(
            f"cannot be created: {error.strerror}; give a path in a folder that you may write"
        )

    @property
    def _is_empty(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size == 0

    def head(self) -> FileHead:
        """Its first bytes, before SQLite opens it.

        Raises:
            EdgeReidError of the kind: it cannot be read.
        """
        try:
            return FileHead.read(self.path)
        except OSError as error:
            raise self.trouble(
                f"cannot be read: {error.strerror}; check its owner and mode"
            ) from error

    @property
    def log(self) -> Path:
        """Its write-ahead log, which is there while the file is open."""
        return self.path.with_name(f"{self.path.name}-wal")

    @property
    def has_log(self) -> bool:
        """Whether something stands in the log that may not be in the file yet."""
        return self.log.exists() and self.log.stat().st_size > 0

    @property
    def is_disk_full(self) -> bool:
        try:
            found = os.statvfs(self.path.parent)
        except OSError:
            return False
        # a file system that counts no files says that it has room for none
        return found.f_bavail * found.f_frsize < ROOM_BYTES or (found.f_files > 0 == found.f_favail)

    def is_out_of_room(self, error: sqlite3.Error) -> bool:
        """Whether it was for want of room: SQLite calls that by several names."""
        said = str(error)
        if "is full" in said:
            return True
        return ("disk I/O error" in said or is_unwritable(error)) and self.is_disk_full

    def _explain(self, error: sqlite3.Error) -> EdgeReidError:
        said = str(error)  # Python 3.10 has no error codes
        if "locked" in said:
            return self.trouble("locked by another program; wait for it or stop it, then try again")
        if self.is_out_of_room(error):
            return self.no_room()
        if is_unwritable(error):
            return self.trouble(
                "cannot be written here; check the owner and the mode of the file and its folder; "
                f"if they let you, the file is damaged: {self.kind.if_damaged}"
            )
        if "not a database" in said and not self._has_a_mark_of_ours:
            return self.of_another_kind()
        return self.damaged() if is_damage(error) else self.trouble(said)

    @property
    def _has_a_mark_of_ours(self) -> bool:
        try:
            return FileHead.read(self.path).has_a_mark_of_ours
        except OSError:
            return False


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, not merely the disk full or the lock taken."""
    return any(sign in str(error) for sign in _DAMAGE)


def is_unwritable(error: sqlite3.Error) -> bool:
    """Whether the file, or its folder, cannot be written."""
    return any(words in str(error) for words in ("unable to open", "readonly"))
