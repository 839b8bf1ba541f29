"""What other devices of a site say of strangers, in an SQLite file of this agent.

An older message never takes the place of a newer one, nor brings somebody back who was withdrawn or
erased. Nobody is kept longer than the device that saw them says, nor longer than this one keeps its
own.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.matching.vectors import pack, unpack
from edge_reid.storage.database import Database
from edge_reid.storage.soundness import open_sound, sealed_transaction
from edge_reid.storage.sqlite import closed_on_error, transaction, wipe
from edge_reid.strangers.heard_file import BUSY_TIMEOUT_S, HEARD, open_or_make
from edge_reid.strangers.heard_stranger import HeardStranger

ERASED_MAX = 10_000
"""Erased names that are known, the newest: no message brings one of them back."""
ERASURES_MAX = 1000
WITHDRAWN_SHARE = 4
"""So many times as many people as are kept may be remembered as withdrawn."""
_LATEST = "ON CONFLICT (name) DO UPDATE SET present = excluded.present, agent = excluded.agent, "


class HeardStrangerStore(ClosedAfterUse):
    """An open file. A context manager that closes it; of one thread.

    Every method raises GalleryError, in one line, when the file is locked, damaged or full.
    """

    def __init__(self, file: Database, connection: sqlite3.Connection, dimension: int) -> None:
        self._file = file
        self._db = connection
        self._dimension = dimension

    @classmethod
    def open(cls, path: Path) -> HeardStrangerStore:
        """A file that an agent has made.

        Raises:
            GalleryError: there is none, it is of another kind, or damaged.
        """
        file = Database(path, HEARD)
        with file.explained():
            connection = open_sound(file, BUSY_TIMEOUT_S)
            (dimension,) = connection.execute("SELECT dimension FROM sharing").fetchone()
        return cls(file, connection, int(dimension))

    @classmethod
    def open_or_make(cls, path: Path, *, model_id: str, dimension: int) -> HeardStrangerStore:
        """The file, made if there is none, readable only by its owner.

        What was heard of another model is forgotten: nobody can be compared with it.

        Raises:
            GalleryError: it is of another kind, or cannot be made.
        """
        file = Database(path, HEARD)
        with file.explained():
            connection = open_or_make(file, model_id, dimension)
            with closed_on_error(connection), sealed_transaction(connection, HEARD.keys):
                found = connection.execute("SELECT model_id, dimension FROM sharing").fetchone()
                if found != (model_id, dimension):
                    connection.execute("DELETE FROM heard")
                connection.execute(
                    "UPDATE sharing SET model_id = ?, dimension = ?", (model_id, dimension)
                )
        return cls(file, connection, dimension)

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    def people(self) -> tuple[HeardStranger, ...]:
        """All who are not withdrawn, in the order in which they were heard of first."""
        with self._reading():
            rows = self._db.execute(
                "SELECT agent, name, edition, camera, first_seen_utc_s, last_seen_utc_s, "
                "forgotten_utc_s, vector FROM heard WHERE vector IS NOT NULL ORDER BY heard_id"
            ).fetchall()
            former = self._db.execute(
                "SELECT present, agent, name FROM former_names ORDER BY name"
            ).fetchall()
        before: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for present, agent, name in former:
            before[present, agent].append(name)
        try:
            vectors = unpack([row[-1] for row in rows], self._dimension)
        except ValueError as error:
            raise self._file.damaged() from error
        return tuple(
            HeardStranger(
                *(agent, name, edition, tuple(before[name, agent])),
                *(camera, first_s, last_s, forgotten_s),
                vector,
            )
            for (agent, name, edition, camera, first_s, last_s, forgotten_s, _), vector in zip(
                rows, vectors, strict=True
            )
        )

    def learn(
        self, heard: Iterable[HeardStranger], withdrawn: Iterable[tuple[str, str]], most: int
    ) -> int:
        """Take in what came. Beyond `most` people, those go of whom least was heard lately, of
        whichever device has told of most.

        Args:
            heard: in the order in which it came.
            withdrawn: agent and name of those whom a device speaks of no more.
            most: people that are kept.

        Returns:
            How many were refused: older than what is known, withdrawn or erased.
        """
        refused = 0
        with self._changing():
            for agent, name in withdrawn:
                self._db.execute(
                    "UPDATE heard SET vector = NULL WHERE agent = ? AND name = ?", (agent, name)
                )
            for one in heard:
                refused += not self._learn_one(one)
            self._keep_most(most)
        return refused

    def purge(self, now_utc_s: float, keep_s: float) -> None:
        """Overwrite whoever is due, on the clock of the device.

        Args:
            now_utc_s: on that clock.
            keep_s: a clock that was set back must not keep anybody for longer than this.

        Raises:
            GalleryError: another program is reading: try again later.
        """
        with self._changing():
            for table in ("heard", "former_names"):
                latest = (now_utc_s + keep_s,)
                self._db.execute(
                    f"UPDATE {table} SET forgotten_utc_s = ?1 WHERE forgotten_utc_s > ?1",  # noqa: S608 - our names
                    latest,
                )
                self._db.execute(
                    f"DELETE FROM {table} WHERE forgotten_utc_s <= ?",  # noqa: S608 - our names
                    (now_utc_s,),
                )
        wipe(self._file, self._db)

    def rename(self, name: str, present: str, forgotten_utc_s: float) -> None:
        """Note that somebody of ours has another name now.

        It waits for no other program: whoever calls it has the file of our own people locked
        meanwhile, for which a frame may wait, though not for long.
        """
        with self._at_once(), self._changing():
            self._db.execute(
                "UPDATE former_names SET present = ? WHERE present = ?", (present, name)
            )
            self._note_former(name, present, "", forgotten_utc_s)

    def keep_former(self, kept_until: Mapping[str, float]) -> None:
        """Remember what our people were called before for as long as these themselves.

        Args:
            kept_until: Unix seconds when each is forgotten, by present name.
        """
        with self._changing():
            rows = self._db.execute(
                "SELECT name, present, forgotten_utc_s FROM former_names WHERE agent = ''"
            ).fetchall()
            self._db.executemany(
                "UPDATE former_names SET forgotten_utc_s = ? WHERE name = ?",
                [
                    (kept_until[present], name)
                    for name, present, until_s in rows
                    if until_s < kept_until.get(present, until_s)
                ],
            )

    def renamed(self) -> dict[str, str]:
        """The present name of each of ours, by one that they had before."""
        with self._reading():
            rows = self._db.execute("SELECT name, present FROM former_names WHERE agent = ''")
            return dict(rows.fetchall())

    def present_names(self, names: Sequence[str]) -> frozenset[str]:
        """These, and what the same people are called now or were before, as far as is known."""
        with self._reading():
            pairs = self._db.execute("SELECT name, present FROM former_names").fetchall()
        found: set[str] = set(names)
        while more := {
            one for pair in pairs if found & set(pair) for one in pair if one not in found
        }:
            found |= more
        return frozenset(found)

    def next_editions(self, count: int) -> range:
        """Numbers for so many messages, each higher than all before."""
        with self._changing():
            self._db.execute("UPDATE sharing SET last_edition = last_edition + ?", (count,))
            (last,) = self._db.execute("SELECT last_edition FROM sharing").fetchone()
        return range(last - count + 1, last + 1)

    def erase(self, names: frozenset[str] | None, written_utc_s: float) -> None:
        """Forget people for good, and overwrite them in the file.

        Args:
            names: of them; None: everybody.
            written_utc_s: of everybody, what was written until then is not taken any more.

        Raises:
            GalleryError: another program is reading: try again later.
        """
        with self._changing():
            if names is None:
                self._db.execute("UPDATE heard SET vector = NULL")
                self._db.execute("DELETE FROM former_names")
                self._db.execute(
                    "UPDATE sharing SET erased_through_utc_s = "
                    "max(coalesce(erased_through_utc_s, ?1), ?1)",
                    (written_utc_s,),
                )
            for name in sorted(names or ()):
                self._db.execute("DELETE FROM heard WHERE name = ?", (name,))
                self._db.execute("DELETE FROM former_names WHERE ? IN (name, present)", (name,))
                self._db.execute(
                    "INSERT OR REPLACE INTO erased_names VALUES (?, ?)", (name, written_utc_s)
                )
            self._keep_newest("erased_names", "erased_utc_s", ERASED_MAX)
        wipe(self._file, self._db, shrink=True)

    def erased_among(self, names: Collection[str]) -> frozenset[str]:
        """Those of these names that are erased for good."""
        with self._reading():
            rows = self._db.execute("SELECT name FROM erased_names").fetchall()
        return frozenset(name for (name,) in rows if name in names)

    def note_erasure(self, erasure_id: str, now_utc_s: float) -> None:
        """An erasure is done: nothing of its people is left in any file."""
        with self._changing():
            self._db.execute(
                "INSERT OR REPLACE INTO erasures VALUES (?, ?)", (erasure_id, now_utc_s)
            )
            self._keep_newest("erasures", "done_utc_s", ERASURES_MAX)

    def erasures(self) -> frozenset[str]:
        """Ids of erasures that are done."""
        with self._reading():
            return frozenset(row[0] for row in self._db.execute("SELECT erasure_id FROM erasures"))

    @property
    def erased_through_utc_s(self) -> float | None:
        """What was written until then is of people who are erased; None: nothing is."""
        with self._reading():
            (until,) = self._db.execute("SELECT erased_through_utc_s FROM sharing").fetchone()
            return None if until is None else float(until)

    def close(self) -> None:
        self._db.close()

    def _learn_one(self, heard: HeardStranger) -> bool:
        """False: it is refused. What is known comes again with every connection: no news."""
        known = self._db.execute(
            "SELECT edition, vector IS NOT NULL FROM heard WHERE agent = ? AND name = ?",
            (heard.agent, heard.name),
        ).fetchone()
        erased = self._db.execute("SELECT 1 FROM erased_names WHERE name = ?", (heard.name,))
        if erased.fetchone():
            return False
        if known and heard.edition <= known[0]:
            return bool(known == (heard.edition, True))
        self._db.execute(
            "INSERT INTO heard (agent, name, edition, camera, first_seen_utc_s, last_seen_utc_s, "
            "forgotten_utc_s, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (agent, name) DO UPDATE SET edition = excluded.edition, "
            "camera = excluded.camera, first_seen_utc_s = excluded.first_seen_utc_s, "
            "last_seen_utc_s = excluded.last_seen_utc_s, "
            "forgotten_utc_s = excluded.forgotten_utc_s, vector = excluded.vector",
            (
                *(heard.agent, heard.name, heard.edition, heard.camera),
                *(heard.first_seen_utc_s, heard.last_seen_utc_s, heard.forgotten_utc_s),
                pack(heard.vector),
            ),
        )
        for name in heard.formerly:
            self._note_former(name, heard.name, heard.agent, heard.forgotten_utc_s)
        return True

    def _note_former(self, name: str, present: str, agent: str, forgotten_utc_s: float) -> None:
        self._db.execute(
            f"INSERT INTO former_names VALUES (?, ?, ?, ?) {_LATEST}"  # noqa: S608 - our words
            "forgotten_utc_s = excluded.forgotten_utc_s "
            "WHERE former_names.agent != '' OR excluded.agent = ''",
            (name, present, agent, forgotten_utc_s),
        )

    def _keep_most(self, most: int) -> None:
        (count,) = self._db.execute(
            "SELECT count(*) FROM heard WHERE vector IS NOT NULL"
        ).fetchone()
        for _ in range(count - most):
            self._db.execute(
                "DELETE FROM heard WHERE heard_id = (SELECT heard_id FROM heard "
                "WHERE vector IS NOT NULL AND agent = (SELECT agent FROM heard "
                "WHERE vector IS NOT NULL GROUP BY agent ORDER BY count(*) DESC, agent LIMIT 1) "
                "ORDER BY last_seen_utc_s, heard_id LIMIT 1)"
            )
        self._db.execute(
            "DELETE FROM heard WHERE vector IS NULL AND heard_id NOT IN (SELECT heard_id "
            "FROM heard WHERE vector IS NULL ORDER BY forgotten_utc_s DESC LIMIT ?)",
            (WITHDRAWN_SHARE * most,),
        )
        self._db.execute(
            "DELETE FROM former_names WHERE name NOT IN (SELECT name FROM former_names "
            "ORDER BY agent != '', forgotten_utc_s DESC LIMIT ?)",
            (WITHDRAWN_SHARE * most,),
        )

    def _keep_newest(self, table: str, column: str, most: int) -> None:
        key = HEARD.keys[table]
        self._db.execute(
            f"DELETE FROM {table} WHERE {key} NOT IN "  # noqa: S608 - our names
            f"(SELECT {key} FROM {table} ORDER BY {column} DESC LIMIT ?)",
            (most,),
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._file.explained(), transaction(self._db, "DEFERRED"):
            yield

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._file.explained(), sealed_transaction(self._db, HEARD.keys):
            yield
