"""A published gallery on the disk of a device: one SQLite file of heads and the blobs they need.

Blobs come in as they arrive; what they belong to counts only from the one transaction that enters
its head. So at whatever instruction the power goes, one whole version is in force.

| in the file | what it is |
|---|---|
| a head, `left_utc_s` NULL | the version in force, there is one at most |
| another head | the one before it (or, after a rollback, the one after), for a while |
| blobs of neither | a version on its way |
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.errors import SnapshotError
from edge_reid.gallery.replica_file import REPLICA, open_or_make
from edge_reid.gallery.tree import Branch, decode
from edge_reid.signing.blobs import BlobRef, ref_of
from edge_reid.storage.database import Database
from edge_reid.storage.soundness import sealed_transaction
from edge_reid.storage.sqlite import wipe

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version that lies in the file."""

    version: int
    sealed: bytes
    """Its head as it came, signature and all."""
    root: BlobRef
    left_utc_s: float | None
    """When another took its place; None: it is in force."""


class Replica(ClosedAfterUse):
    """An open replica. A context manager that closes it; of one thread.

    Every method raises GalleryError, in one line, when the file is locked, damaged or full.
    """

    def __init__(self, file: Database, connection: sqlite3.Connection) -> None:
        self._file = file
        self._db = connection

    @classmethod
    def open(cls, path: Path) -> Replica:
        """The replica at a path; made, readable only by its owner, if there is none.

        One that is damaged is made anew of what is whole in it.

        Raises:
            GalleryError: the file is of another kind, or cannot be made.
        """
        file = Database(path, REPLICA)
        return cls(file, open_or_make(file))

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    @property
    def held(self) -> tuple[StoredVersion, ...]:
        """All whole versions in the file, the one in force first."""
        with self._file.explained():
            rows = self._db.execute(
                "SELECT version, sealed, root_sha256, root_bytes, left_utc_s FROM heads "
                "ORDER BY left_utc_s IS NOT NULL, version DESC"
            ).fetchall()
        return tuple(StoredVersion(row[0], row[1], BlobRef(row[2], row[3]), row[4]) for row in rows)

    @property
    def in_force(self) -> StoredVersion | None:
        """The version in force; None before the first."""
        first = next(iter(self.held), None)
        return first if first and first.left_utc_s is None else None

    @property
    def highest(self) -> int:
        """The highest version ever taken: an older one may be a replay."""
        return self._ledger("highest")

    @property
    def purged_through(self) -> int:
        """No byte of a version older than this is in the file."""
        return self._ledger("purged_through")

    @property
    def erased(self) -> frozenset[str]:
        """`place_of` whom the newest version says to be erased."""
        with self._file.explained():
            return frozenset(row[0] for row in self._db.execute("SELECT place FROM erased"))

    def has(self, ref: BlobRef) -> bool:
        """Whether a blob is here, and unharmed."""
        return self._read(ref) is not None

    def read(self, ref: BlobRef) -> bytes:
        """The body of a blob that is here.

        Raises:
            SnapshotError: it is not, or is harmed.
        """
        body = self._read(ref)
        if body is None:
            raise SnapshotError(
                f"replica {self.path}: blob {ref.sha256[:16]}… is damaged on this disk or gone; "
                "it is fetched anew"
            )
        return body

    def stash(self, blobs: Mapping[BlobRef, bytes]) -> None:
        """Keep blobs of a version on its way, so that they need not come again."""
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO blobs VALUES (?, ?)",
                [(ref.sha256, body) for ref, body in blobs.items()],
            )

    def install(
        self,
        version: int,
        sealed: bytes,
        root: BlobRef,
        *,
        blobs: Collection[BlobRef],
        erased: Iterable[str],
        now_utc_s: float,
    ) -> None:
        """Put a version in force. The one before it is kept.

        Args:
            version: of its head.
            sealed: the head as it came.
            root: of its tree.
            blobs: all of its tree.
            erased: `place_of` whom it says to be erased.
            now_utc_s: from when the one before counts as past.

        Raises:
            GalleryError: it is not higher than all before it, or a blob is not here.
        """
        with self._writing():
            if version <= self.highest:  # another agent on this device was quicker
                raise self._file.trouble(f"expected a version above {self.highest}, got {version}")
            self._check_whole(version, blobs)
            self._db.execute("DELETE FROM heads WHERE left_utc_s IS NOT NULL")
            self._db.execute("UPDATE heads SET left_utc_s = ?", (now_utc_s,))
            self._db.execute(
                "INSERT INTO heads VALUES (?, ?, ?, ?, NULL)",
                (version, sealed, root.sha256, root.size_bytes),
            )
            self._db.execute("DELETE FROM erased")
            self._db.executemany("INSERT INTO erased VALUES (?)", [(each,) for each in erased])
            self._db.execute("UPDATE ledger SET highest = ?", (version,))

    def roll_back(self, now_utc_s: float) -> int:
        """Put the version that was kept back in force; returns it.

        The other one is kept in its place, and is not taken again when it is offered.

        Raises:
            GalleryError: none is kept.
        """
        with self._writing():
            kept = [each for each in self.held if each.left_utc_s is not None]
            if not kept:
                raise self._file.trouble(
                    "no earlier version is kept; publish a new one from the gallery as it should be"
                )
            self._db.execute(
                "UPDATE heads SET left_utc_s = CASE WHEN version = ? THEN NULL ELSE ? END",
                (kept[0].version, now_utc_s),
            )
        return kept[0].version

    def purge(self, *, keep_s: float, now_utc_s: float) -> None:
        """Overwrite versions that went out of force longer ago than that, and strayed blobs.

        Raises:
            GalleryError: another program is reading: try again later.
            SnapshotError: the version in force is harmed: load it, which fetches what is missing.
        """
        with self._writing():
            # a clock that was set back must not keep anything for longer than `keep_s` from now
            self._db.execute(
                "UPDATE heads SET left_utc_s = ? WHERE left_utc_s > ?", (now_utc_s, now_utc_s)
            )
            gone = self._db.execute(
                "DELETE FROM heads WHERE left_utc_s <= ?", (now_utc_s - keep_s,)
            ).rowcount
            if gone or self._oldest > self.purged_through:
                self._sweep()
                self._db.execute("UPDATE ledger SET traces = 1")
            oldest = self._oldest
        if self._ledger("traces"):
            with self._file.explained():
                self._db.execute("VACUUM")
            wipe(self._file, self._db)
            with self._writing():
                self._db.execute("UPDATE ledger SET traces = 0, purged_through = ?", (oldest,))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._file.explained(), sealed_transaction(self._db, REPLICA.keys):
            yield

    def _read(self, ref: BlobRef) -> bytes | None:
        with self._file.explained():
            row = self._db.execute(
                "SELECT body FROM blobs WHERE sha256 = ?", (ref.sha256,)
            ).fetchone()
        is_whole = row is not None and ref_of(row[0]) == ref
        return row[0] if is_whole else None

    def _ledger(self, column: str) -> int:
        with self._file.explained():
            row = self._db.execute(f"SELECT {column} FROM ledger").fetchone()  # noqa: S608
        return int(row[0])

    def _check_whole(self, version: int, blobs: Collection[BlobRef]) -> None:
        """Another agent on this device may have swept what we had stashed."""
        self._note_needed(blobs)
        (missing,) = self._db.execute(
            "SELECT count(*) FROM needed WHERE sha256 NOT IN (SELECT sha256 FROM blobs)"
        ).fetchone()
        if missing:
            raise self._file.trouble(
                f"{missing} blobs of version {version} are gone again; they are fetched anew"
            )

    def _note_needed(self, blobs: Iterable[BlobRef]) -> None:
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS needed (sha256 TEXT PRIMARY KEY)")
        self._db.execute("DELETE FROM needed")
        self._db.executemany(
            "INSERT OR IGNORE INTO needed VALUES (?)", [(ref.sha256,) for ref in blobs]
        )

    @property
    def _oldest(self) -> int:
        return min((each.version for each in self.held), default=0)

    def _sweep(self) -> None:
        """Delete what no version in the file needs."""
        self._note_needed(ref for each in self.held for ref in self._needed_by(each))
        self._db.execute("DELETE FROM blobs WHERE sha256 NOT IN (SELECT sha256 FROM needed)")

    def _needed_by(self, held: StoredVersion) -> set[BlobRef]:
        """The blobs of a version. A kept one that the disk has spoilt needs none: it goes."""
        try:
            return self._tree_of(held.root)
        except SnapshotError:
            if held.left_utc_s is None:
                raise
            _log.warning(
                "replica %s: version %d, kept for a rollback, is damaged on this disk; it goes",
                self.path,
                held.version,
            )
            self._db.execute("DELETE FROM heads WHERE version = ?", (held.version,))
            return set()

    def _tree_of(self, root: BlobRef) -> set[BlobRef]:
        tree: set[BlobRef] = set()
        level = [root]
        while level:
            tree.update(level)
            level = [child for ref in level for child in self._children(ref)]
        return tree

    def _children(self, ref: BlobRef) -> list[BlobRef]:
        node = decode(self.read(ref))
        if not isinstance(node, Branch):
            return []
        return [BlobRef(*child) for child in node.children.values()]
