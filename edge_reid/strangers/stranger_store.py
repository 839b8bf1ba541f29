"""People a device has seen who are not enrolled, in an SQLite file that never leaves the device.

Each has an anonymous name, the best embeddings of their visits, and when and where they were last
seen. Whoever was not seen for `keep_s` is forgotten: overwritten (`secure_delete`), out of the log.
Every change is one transaction, synced to disk, so that no name is ever given to two people.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_reid.core.anonymous_names import stranger_name, stranger_tag
from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.errors import EdgeReidError
from edge_reid.core.manifest import model_in_words
from edge_reid.core.types import Embedding, Vectors
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.vectors import pack, unpack
from edge_reid.storage.database import Database
from edge_reid.storage.soundness import sealed_transaction
from edge_reid.storage.sqlite import closed_on_error, transaction, wipe
from edge_reid.strangers.former_name import note_former_name
from edge_reid.strangers.stranger import Stranger, Visit
from edge_reid.strangers.stranger_file import STRANGERS, open_file, open_or_make

_log = logging.getLogger(__name__)

KEPT_LOOKS = 10
"""Embeddings kept of a stranger, the best by quality."""

# Each once: a clip that is shown over and over brings the same ones with every visit.
_BEST_LOOKS = (
    "SELECT look_id, vector, max(quality) AS quality FROM looks WHERE number = ? "
    "GROUP BY vector ORDER BY quality DESC, look_id"
)


class StrangerStore(ClosedAfterUse):
    """An open file of strangers. A context manager that closes it; of one thread.

    Several agents of a device may have it open. Every method raises GalleryError, in one line, when
    the file is locked, damaged or full. So does all but `purge` once an agent with another model
    has taken the file over: the embeddings of two models never meet.
    """

    def __init__(self, file: Database, connection: sqlite3.Connection) -> None:
        self._file = file
        self._db = connection
        row = self._db.execute("SELECT model_id, dimension, keep_s FROM ledger").fetchone()
        if row is None:
            raise file.damaged()
        self.model_id, self.dimension, self.keep_s = str(row[0]), int(row[1]), float(row[2])

    @classmethod
    def open(cls, path: Path, *, forgets: bool = True) -> StrangerStore:
        """A file that an agent has made.

        Args:
            path: of the file.
            forgets: overwrite whoever is due at once; without it the running agent does, within a
                minute.

        Raises:
            GalleryError: there is none, it is of another kind, or damaged.
        """
        file = Database(path, STRANGERS)
        with file.explained():
            store = cls(file, open_file(file))
        if forgets:
            store.purge(time.time(), shrink=True)
        return store

    @classmethod
    def open_to_read(cls, path: Path) -> StrangerStore:
        """As `open`, for who changes nothing. It takes no lock that a change waits for, however
        often it comes; an erasure waits until it has read.

        Raises:
            GalleryError: there is none, it is of another kind, or damaged.
        """
        file = Database(path, STRANGERS)
        with file.explained():
            return cls(file, open_file(file, is_to_change=False))

    @classmethod
    def open_or_make(
        cls, path: Path, *, model_id: str, dimension: int, keep_s: float
    ) -> StrangerStore:
        """The file of an agent, made if there is none, readable only by its owner.

        One that is damaged is replaced by an empty one. Strangers of another model are forgotten:
        nobody can be compared with them any more.

        Raises:
            GalleryError: it is of another kind, or cannot be made.
        """
        file = Database(path, STRANGERS)
        with file.explained():
            connection = open_or_make(file, model_id, dimension)
            with closed_on_error(connection), sealed_transaction(connection, STRANGERS.keys):
                before, ours = _model_of(connection), (model_id, dimension)
                gone = 0
                if before != ours:
                    gone = connection.execute("DELETE FROM strangers").rowcount
                connection.execute(
                    "UPDATE ledger SET model_id = ?, dimension = ?, keep_s = ?",
                    (model_id, dimension, keep_s),
                )
            store = cls(file, connection)
        store.purge(time.time(), shrink=True)
        if gone:
            _log.warning(
                "strangers %s: %d unknown %s of embedding model %s forgotten, as nobody can be "
                "compared with them by %s",
                path,
                gone,
                "person" if gone == 1 else "people",
                model_in_words(before[0]),
                model_in_words(model_id),
            )
        return store

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    @property
    def edition(self) -> int:
        """Differs from what it was when another program has changed the file; cheap to ask."""
        with self._file.explained():
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    @property
    def tag(self) -> str | None:
        """In every name that is given here; None before the first."""
        with self._reading():
            (tag,) = self._db.execute("SELECT tag FROM ledger").fetchone()
            return None if tag is None else str(tag)

    def strangers(self) -> tuple[Stranger, ...]:
        """All who are not forgotten, in the order of their first visits."""
        with self._reading():
            rows = self._db.execute(
                "SELECT name, camera, first_seen_utc_s, last_seen_utc_s, times_seen, noted_utc_s, "
                "vector FROM strangers ORDER BY number"
            ).fetchall()
        vectors = self._unpack([row[-1] for row in rows])
        return tuple(
            Stranger(name, camera, first_s, last_s, times_seen, noted_s + self.keep_s, vector)
            for (name, camera, first_s, last_s, times_seen, noted_s, _), vector in zip(
                rows, vectors, strict=True
            )
        )

    def find(self, name: str) -> Stranger:
        """The stranger of a name; raises GalleryError when there is none."""
        for stranger in self.strangers():
            if stranger.name == name:
                return stranger
        raise self._nobody(name)

    def looks(self, name: str) -> tuple[Embedding, ...]:
        """What is kept of a stranger, by falling quality.

        Raises:
            GalleryError: there is none of that name.
        """
        with self._reading():
            return self._looks(self._need(name))

    def meet(
        self,
        visit: Visit,
        *,
        origin: str,
        now_utc_s: float,
        max_people: int,
        named: str | None = None,
    ) -> str:
        """Somebody new; returns their name. Beyond `max_people` the longest unseen are forgotten.

        Args:
            visit: the first.
            origin: what tells this device from others; it goes into the tag of the first name ever.
            now_utc_s: on the clock of the device: they are kept from then on.
            max_people: of whom the file may hold.
            named: what another device calls them; None: they are new to all.
        """
        with self._changing():
            number, tag = self._next(stranger_tag(origin, round(visit.first_seen_utc_s * 1000)))
            name = named or stranger_name(tag, number)
            self._db.execute(
                "INSERT INTO strangers VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
                (
                    number,
                    name,
                    visit.camera,
                    visit.first_seen_utc_s,
                    visit.last_seen_utc_s,
                    now_utc_s,
                    pack(visit.embeddings[0].vector),
                ),
            )
            self._learn(number, visit.embeddings)
            self._db.execute(
                "DELETE FROM strangers WHERE number NOT IN "
                "(SELECT number FROM strangers ORDER BY noted_utc_s DESC, number DESC LIMIT ?)",
                (max_people,),
            )
        return name

    def meet_again(self, name: str, visit: Visit, *, now_utc_s: float) -> bool:
        """Somebody who was here before; False when they were forgotten or merged meanwhile."""
        with self._changing():
            number = self._number(name)
            if number is None:
                return False
            self._db.execute(
                "UPDATE strangers SET camera = ?, last_seen_utc_s = ?, "
                "times_seen = times_seen + 1, noted_utc_s = ? WHERE number = ?",
                (visit.camera, visit.last_seen_utc_s, now_utc_s, number),
            )
            self._learn(number, visit.embeddings)
        return True

    def merge(self, name: str, into: str) -> None:
        """Count two strangers as one, under the second name. Where devices share, all of them hear
        of the first, so that an erasure by it finds the person.

        Raises:
            GalleryError: one of them is not there, or they are the same; or an agent is writing
                what it has heard: try again.
        """
        with self._rewriting():
            giver, taker = self._need(name), self._need(into)
            if giver == taker:
                raise self._file.trouble(f"expected two people, got {name} twice")
            (noted_utc_s,) = self._db.execute(
                "SELECT max(noted_utc_s) FROM strangers WHERE number IN (?, ?)", (giver, taker)
            ).fetchone()
            note_former_name(self.path, name, into, noted_utc_s + self.keep_s)
            self._db.execute("UPDATE looks SET number = ? WHERE number = ?", (taker, giver))
            self._db.execute(
                """
                UPDATE strangers SET
                    first_seen_utc_s = min(strangers.first_seen_utc_s, other.first_seen_utc_s),
                    camera = CASE WHEN other.last_seen_utc_s > strangers.last_seen_utc_s
                        THEN other.camera ELSE strangers.camera END,
                    last_seen_utc_s = max(strangers.last_seen_utc_s, other.last_seen_utc_s),
                    times_seen = strangers.times_seen + other.times_seen,
                    noted_utc_s = max(strangers.noted_utc_s, other.noted_utc_s)
                FROM strangers AS other WHERE strangers.number = ? AND other.number = ?
                """,
                (taker, giver),
            )
            self._db.execute("DELETE FROM strangers WHERE number = ?", (giver,))
            self._learn(taker, ())

    def rename(self, name: str, present: str, note: Callable[[], None] = lambda: None) -> bool:
        """Give somebody the name that other devices have for them; False: they are forgotten, or
        somebody else has it meanwhile.

        Args:
            name: that they have.
            present: that they get.
            note: called once that can be done, before it is; what it raises leaves all as it was.
        """
        with self._changing():
            if self._number(name) is None or self._number(present) is not None:
                return False
            note()
            self._db.execute("UPDATE strangers SET name = ? WHERE name = ?", (present, name))
        return True

    def forget(self, name: str) -> None:
        """Overwrite a stranger; raises GalleryError when there is none of that name."""
        with self._rewriting():
            self._db.execute("DELETE FROM strangers WHERE number = ?", (self._need(name),))

    def forget_all(self, names: Container[str] | None = None) -> None:
        """Overwrite whoever has one of these names; None: everybody."""
        with self._rewriting():
            rows = self._db.execute("SELECT number, name FROM strangers").fetchall()
            gone = [(number,) for number, name in rows if names is None or name in names]
            self._db.executemany("DELETE FROM strangers WHERE number = ?", gone)

    def purge(self, now_utc_s: float, *, shrink: bool = False) -> None:
        """Overwrite whoever was not noted for `keep_s`, on the clock of the device.

        Args:
            now_utc_s: on that clock.
            shrink: also write the file anew without what was overwritten; takes longer.

        Raises:
            GalleryError: another program is reading: try again later.
        """
        with self._file.explained(), sealed_transaction(self._db, STRANGERS.keys):
            # a clock that was set back must not keep anybody for longer than `keep_s` from now
            self._db.execute(
                "UPDATE strangers SET noted_utc_s = ? WHERE noted_utc_s > ?", (now_utc_s, now_utc_s)
            )
            self._db.execute(
                "DELETE FROM strangers WHERE noted_utc_s <= ?", (now_utc_s - self.keep_s,)
            )
        wipe(self._file, self._db, shrink=shrink)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._file.explained(), transaction(self._db, "DEFERRED"):
            self._check_model()
            yield

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._file.explained(), sealed_transaction(self._db, STRANGERS.keys):
            self._check_model()
            yield

    def _check_model(self) -> None:
        found = _model_of(self._db)
        if found != (self.model_id, self.dimension):
            raise self._file.trouble(
                f"expected a file of model {self.model_id}, got one of "
                f"{found[0]}: another agent of this device has taken it over; give both the same "
                "model, or one of them another strangers.path, and restart them"
            )

    @contextmanager
    def _rewriting(self) -> Iterator[None]:
        with self._changing():
            yield
        wipe(self._file, self._db, shrink=True)

    def _next(self, tag: str) -> tuple[int, str]:
        """A number never given before, and the tag of this file: that of its first stranger."""
        self._db.execute(
            "UPDATE ledger SET last_number = last_number + 1, tag = coalesce(tag, ?)", (tag,)
        )
        number, tag = self._db.execute("SELECT last_number, tag FROM ledger").fetchone()
        return number, tag

    def _learn(self, number: int, embeddings: tuple[Embedding, ...]) -> None:
        self._db.executemany(
            "INSERT INTO looks (number, vector, quality) VALUES (?, ?, ?)",
            [(number, pack(each.vector), float(each.quality)) for each in embeddings],
        )
        self._db.execute(
            "DELETE FROM looks WHERE number = ? AND look_id NOT IN "  # noqa: S608 - our words
            f"(SELECT look_id FROM ({_BEST_LOOKS} LIMIT ?))",
            (number, number, KEPT_LOOKS),
        )
        vector = mean_vector(self._looks(number), self.model_id)
        if vector is not None:
            self._db.execute(
                "UPDATE strangers SET vector = ? WHERE number = ?", (pack(vector), number)
            )

    def _number(self, name: str) -> int | None:
        row = self._db.execute("SELECT number FROM strangers WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def _need(self, name: str) -> int:
        number = self._number(name)
        if number is None:
            raise self._nobody(name)
        return number

    def _nobody(self, name: str) -> EdgeReidError:
        return self._file.trouble(
            f"nobody is called {name!r}, or they are forgotten; "
            "`edge-reid gallery strangers` shows who is there"
        )

    def _looks(self, number: int) -> tuple[Embedding, ...]:
        rows = self._db.execute(_BEST_LOOKS, (number,)).fetchall()
        vectors = self._unpack([vector for _, vector, _ in rows])
        return tuple(
            Embedding(vector, self.model_id, quality)
            for vector, (_, _, quality) in zip(vectors, rows, strict=True)
        )

    def _unpack(self, blobs: Sequence[bytes]) -> Vectors:
        try:
            return unpack(blobs, self.dimension)
        except ValueError as error:
            raise self._file.damaged() from error


def _model_of(connection: sqlite3.Connection) -> tuple[str, int]:
    model_id, dimension = connection.execute("SELECT model_id, dimension FROM ledger").fetchone()
    return model_id, dimension
