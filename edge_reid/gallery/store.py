"""The gallery on disk: an SQLite file of who is enrolled, and how they look to one model."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.errors import GalleryError, ModelMismatchError
from edge_reid.core.manifest import model_in_words, shipped_name
from edge_reid.core.types import GallerySnapshot, Template, Vectors
from edge_reid.gallery import complaints
from edge_reid.gallery.complaints import Complaints
from edge_reid.gallery.curation import (
    DisabledTemplate,
    Merged,
    delete,
    disable,
    enable,
    join,
    move,
    read_disabled,
)
from edge_reid.gallery.enrolled import (
    Enrolled,
    check_spelling,
    erase_if_empty,
    find,
    find_or_enter,
    insert,
    need,
    note_erased,
    rename,
)
from edge_reid.gallery.gallery_queries import (
    IdentitySummary,
    read_erasures,
    read_identities,
    read_published,
    read_snapshot,
    read_sources,
    read_templates,
    read_version,
)
from edge_reid.gallery.gallery_tables import GALLERY, check_format
from edge_reid.gallery.identity import identity_key, identity_name
from edge_reid.gallery.tree import Erasure
from edge_reid.gallery.validation import check_name, check_template
from edge_reid.matching.vectors import unpack
from edge_reid.signing.blobs import BlobRef
from edge_reid.storage.database import Database
from edge_reid.storage.row_checksums import seal
from edge_reid.storage.soundness import migrate, sealed_transaction
from edge_reid.storage.sqlite import closed_on_error, connect, reserved, transaction, wipe

BUSY_TIMEOUT_S = 5.0
"""How long to wait for another program's change to end."""


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """All that is published of a gallery, as it was at one moment."""

    version: int
    templates: tuple[Template, ...]
    erasures: tuple[Erasure, ...]


class GalleryStore(ClosedAfterUse):
    """An open gallery file. Made by `create` or `open`; a context manager that closes it.

    Each change is one transaction and raises `version`. What is removed is overwritten on disk.
    Every method raises GalleryError, in one line, when the file is locked, damaged or read-only.
    """

    model_id: str
    """The only model whose embeddings it takes."""
    dimension: int
    """Of those embeddings."""

    def __init__(self, file: Database, connection: sqlite3.Connection) -> None:
        self._file = file
        self._db = connection
        row = connection.execute("SELECT model_id, dimension FROM gallery").fetchone()
        if row is None:
            raise file.damaged()
        self.model_id, self.dimension = str(row[0]), int(row[1])

    @classmethod
    def create(cls, path: Path, model_id: str, dimension: int) -> GalleryStore:
        """A new, empty gallery, readable only by its owner, for embeddings of one model.

        Raises:
            GalleryError: there is a file already, or none can be written there.
        """
        file = Database(path, GALLERY)
        with reserved(file), closed_on_error(connect(file, BUSY_TIMEOUT_S)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            with transaction(connection):
                migrate(connection, GALLERY)
                connection.execute("INSERT INTO gallery VALUES (1, ?, ?, 0)", (model_id, dimension))
                seal(connection, GALLERY.keys)
            return cls(file, connection)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        model_id: str | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> GalleryStore:
        """An existing gallery; one that cannot be written can still be read.

        With `model_id`, the gallery must belong to that model. `busy_timeout_s` is how long each
        call waits for another program's change to end.

        Raises:
            ModelMismatchError: it belongs to another model.
            GalleryError: there is no such file, it is not a gallery, or it is locked or damaged.
        """
        file = Database(path, GALLERY)
        if path.is_dir():
            raise file.trouble("expected a gallery, got a folder; give the path of its file")
        if not path.is_file():
            raise file.trouble(f"no such file; make one: edge-reid gallery init {path}")
        with file.explained(), closed_on_error(connect(file, busy_timeout_s)) as connection:
            check_format(file, connection)
            store = cls(file, connection)
            if model_id is not None and model_id != store.model_id:
                raise _of_another_model(path, model_id, store.model_id)
        return store

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    @property
    def version(self) -> int:
        """Rises with each change, also with another process's; cheap to ask."""
        with self._file.explained():
            return read_version(self._db)

    def add(self, template: Template) -> Template:
        """Store one template; returns it with its `template_id`. Raises as `add_all`."""
        return self.add_all([template])[0]

    def add_all(self, templates: Sequence[Template]) -> tuple[Template, ...]:
        """Store all of them or, on any mistake, none.

        Raises:
            ModelMismatchError: one is of another model.
            GalleryError: one is not a template (see `check_template`), its identity is enrolled in
                another spelling, or it has a template of that source already.
        """
        for template in templates:
            check_template(template, self.model_id, self.dimension)
        with self._change():
            return tuple(insert(self._db, self.path, template) for template in templates)

    def templates(self, identity: str | None = None) -> tuple[Template, ...]:
        """All templates in use, or those of one identity (any case), in the order of storing."""
        with self._file.explained():
            key = None if identity is None else identity_key(identity)
            return read_templates(self._db, key, self._unpack)

    def sources(self, identity: str) -> frozenset[str]:
        """`source_sha256` of all templates of an identity, also of those that are disabled."""
        with self._file.explained():
            return read_sources(self._db, identity_key(identity))

    def check_spelling(self, identity: str) -> None:
        """Raises GalleryError when somebody is enrolled by that name in another spelling."""
        with self._file.explained():
            check_spelling(self.path, identity, find(self._db, identity))

    def identities(self) -> tuple[IdentitySummary, ...]:
        """Who is enrolled, by name."""
        with self._file.explained():
            return read_identities(self._db)

    def remove(self, identity: str) -> int:
        """Forget an identity (any case): no byte of its templates or its name stays in the file.

        Returns:
            How many templates it had.

        Raises:
            GalleryError: nobody of that name is enrolled.
        """
        with self._change():
            found = self._need(identity)
            gone = self._db.execute("DELETE FROM templates WHERE identity_id = ?", found[:1])
            self._db.execute("DELETE FROM identities WHERE identity_id = ?", found[:1])
            note_erased(self._db, identity)
        wipe(self._file, self._db)
        return gone.rowcount

    def remove_templates(self, identity: str, template_ids: Collection[int]) -> bool:
        """Forget some templates of an identity (any case), in use or disabled; all or none.

        Returns:
            Whether it is still enrolled: with its last template it is gone, as with `remove`.

        Raises:
            GalleryError: nobody of that name is enrolled, or one is not its template.
        """
        with self._change():
            owner = self._need(identity)
            delete(self._db, owner, template_ids, self.path)
            is_left = not erase_if_empty(self._db, owner)
        wipe(self._file, self._db)
        return is_left

    def replace_all(self, templates: Sequence[Template]) -> tuple[Template, ...]:
        """Store templates instead of all that their identities have; all or none.

        Raises:
            ModelMismatchError, GalleryError: as `add_all`, or an identity is not enrolled.
        """
        for template in templates:
            check_template(template, self.model_id, self.dimension)
        with self._change():
            for identity in {each.identity for each in templates}:
                owner = self._need(identity)
                self._db.execute("DELETE FROM templates WHERE identity_id = ?", owner[:1])
            stored = tuple(insert(self._db, self.path, template) for template in templates)
        wipe(self._file, self._db)
        return stored

    def rename(self, identity: str, name: str) -> None:
        """Call an identity (any case) by another name.

        Raises:
            GalleryError: nobody is enrolled by the first name, or somebody is by the second.
        """
        check_name(name)
        with self._change():
            rename(self._db, self.path, self._need(identity), name)
        wipe(self._file, self._db)

    def move(self, identity: str, into: str, template_ids: Collection[int]) -> Merged:
        """Give some templates of an identity (any case) to another, which may be new.

        Without any left the first one is gone, as with `merge`.

        Raises:
            GalleryError: nobody is enrolled by the first name, both are the same, or one is not
                its template.
        """
        check_name(into)
        with self._change():
            giver = self._need(identity)
            taker_id = find_or_enter(self._db, self.path, identity_name(into))
            if taker_id == giver[0]:
                raise GalleryError(
                    f"gallery {self.path}: expected two identities, got {giver[1]!r} twice"
                )
            moved = move(self._db, giver, taker_id, template_ids, self.path)
            erase_if_empty(self._db, giver)
        wipe(self._file, self._db)
        return moved

    def disable(self, reasons: Mapping[int, str]) -> None:
        """Stop using templates, by `template_id`, each for a reason in words; all or none.

        Raises:
            GalleryError: one is not in use.
        """
        with self._change():
            disable(self._db, self.path, reasons, time.time())

    def disabled(self, identity: str | None = None) -> tuple[DisabledTemplate, ...]:
        """What is disabled of everybody, or of one identity (any case)."""
        with self._file.explained():
            return read_disabled(self._db, None if identity is None else identity_key(identity))

    def enable(self, template_ids: Collection[int]) -> None:
        """Use disabled templates again; all or none. What was complained of them is forgotten.

        Raises:
            GalleryError: one is not disabled.
        """
        with self._change():
            enable(self._db, self.path, template_ids)
            complaints.forget(self._db, template_ids)

    def complain(self, template_id: int, *, similarity: float, event_id: str) -> None:
        """Note that an operator said of an event that it was not this template's person. The
        gallery stays as it is; `edge-reid gallery doctor` tells of it.

        Args:
            template_id: the most alike of that person; if it is gone, nothing is noted.
            similarity: to who was seen.
            event_id: of the event; it counts once.
        """
        with self._writing():
            complaints.note(self._db, event_id, template_id, similarity, time.time())

    def complaints(self) -> tuple[Complaints, ...]:
        """What operators have complained of, the templates with the most complaints first."""
        with self._file.explained():
            return complaints.read(self._db)

    def merge(self, identity: str, into: str) -> Merged:
        """Give all templates of one identity to another; the first name is gone then.

        Of a photo that both have one template stays, one in use if there is one.

        Raises:
            GalleryError: one of them is not enrolled, or they are the same.
        """
        with self._change():
            merged = join(self._db, self._need(identity), self._need(into), self.path)
            note_erased(self._db, identity)  # or a device's older version would bring it back
        wipe(self._file, self._db)
        return merged

    def contents(self) -> Contents:
        """All that is published of it."""
        with self._file.explained(), transaction(self._db, "DEFERRED"):
            return Contents(self.version, self.templates(), self.erasures())

    def erasures(self) -> tuple[Erasure, ...]:
        """Everybody who was removed and is not enrolled again, newest first."""
        with self._file.explained():
            return read_erasures(self._db)

    def raise_version(self, above: int) -> int:
        """Number the gallery as it is above another version; returns its new number."""
        with self._writing():
            self._db.execute("UPDATE gallery SET version = max(version, ?) + 1", (above,))
        return self.version

    def published(self, place: str) -> dict[BlobRef, bool]:
        """The blobs that may lie in a place, and of which it is certain."""
        with self._file.explained():
            return read_published(self._db, place)

    def note_published(self, place: str, refs: Iterable[BlobRef], *, is_there: bool) -> None:
        """Remember blobs that are in a place, or about to be put there."""
        rows = [(place, ref.sha256, ref.size_bytes, is_there) for ref in refs]
        with self._writing():
            self._db.executemany("INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?)", rows)

    def note_cleared(self, place: str, refs: Iterable[BlobRef]) -> None:
        """Forget blobs that are no longer in a place."""
        rows = [(place, ref.sha256) for ref in refs]
        with self._writing():
            self._db.executemany("DELETE FROM published WHERE place = ? AND sha256 = ?", rows)

    def snapshot(self) -> GallerySnapshot:
        """All of it in memory, as it was at one moment; identities by name."""
        with self._file.explained(), transaction(self._db, "DEFERRED"):
            return read_snapshot(self._db, self.model_id, self._unpack)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._writing():
            yield
            self._db.execute("UPDATE gallery SET version = version + 1")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._file.explained(), sealed_transaction(self._db, GALLERY.keys):
            yield

    def _need(self, identity: str) -> Enrolled:
        return need(self._db, self.path, identity)

    def _unpack(self, blobs: Sequence[bytes]) -> Vectors:
        try:
            return unpack(blobs, self.dimension)
        except ValueError as error:
            raise self._file.damaged() from error


def _of_another_model(path: Path, wanted: str, its: str) -> ModelMismatchError:
    """The error for a gallery of another model: which it is of, and both ways out."""
    new, old = shipped_name(wanted) or "FILE", shipped_name(its) or "that model"
    return ModelMismatchError(
        f"gallery {path}: expected one of model {model_in_words(wanted)}, got one of "
        f"{model_in_words(its)}; give {old} as --model or as models.embedding of the settings, or "
        f"enroll the people again: edge-reid gallery init NEW.db --model {new}, and gallery enroll "
        f"with the same --model"
    )
