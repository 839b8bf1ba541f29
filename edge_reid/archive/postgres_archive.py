"""An archive in a PostgreSQL database with pgvector; needs psycopg 3 (the extra `postgres`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from edge_reid.archive.archive_findings import ArchiveFindings
from edge_reid.archive.archive_store import ArchiveAccessError, ArchiveModels
from edge_reid.archive.archive_tables import (
    SCHEMA,
    VIDEOS,
    find_pgvector,
    make_tables,
    models_there,
)
from edge_reid.archive.archived_track import VideoTracks
from edge_reid.archive.ivfflat_upkeep import EXACT_TRACKS, make_ivfflat
from edge_reid.archive.track_rows import copy_tracks
from edge_reid.archive.vector_search import find_tracks
from edge_reid.core.errors import StoreError
from edge_reid.core.progress import StageProgress
from edge_reid.core.types import Vector
from edge_reid.storage.postgres import checked_url, connected, is_answering, one_line

RETRY_S = 1.0
"""Pause before a database is asked again that does not answer."""
_LOGIN = "check the URL, and PGPASSFILE"

_ADD_VIDEO = (
    f"INSERT INTO {VIDEOS} (sha256, camera, tracks) VALUES (%s, %s, %s)"  # noqa: S608 - our own names
    " ON CONFLICT (sha256) DO NOTHING"
)
_HAS_VIDEO = f"SELECT 1 FROM {VIDEOS} WHERE sha256 = %s"  # noqa: S608 - our own names


class PostgresArchive:
    """An `ArchiveStore` of tables. It connects for each thing to do: between two of them a video is
    looked through, for minutes.

    Args:
        url: libpq's `postgresql://user@host/database`, without a password.
        models: that it was made with.
        patience_s: how long a database is waited for that does not answer.
        exact_tracks: so many are compared one by one.
    """

    def __init__(
        self,
        url: str,
        models: ArchiveModels,
        *,
        patience_s: float = 0.0,
        exact_tracks: int = EXACT_TRACKS,
    ) -> None:
        self._url, self._models = url, models
        self._patience_s, self._exact_tracks = patience_s, exact_tracks

    @classmethod
    def create(cls, url: str, models: ArchiveModels) -> PostgresArchive:
        """A new one, or the one that is there, if it was made with the same models.

        Raises:
            UsageError: the URL holds a password, or is none.
            ModelMismatchError: it was made with other models.
            StoreError: the database cannot be used, or lacks pgvector.
        """
        with _session(checked_url(url, "--out")) as db:
            there = models_there(db) or make_tables(db, models)
        there.check(models, "PostgreSQL")
        return cls(url, models)

    @classmethod
    def open(cls, url: str, option: str, *, patience_s: float = 0.0) -> PostgresArchive:
        """The one that is there.

        Raises:
            UsageError: the URL holds a password, or is none.
            StoreError: there is none, or it is of a newer edge-reid.
        """
        with _session(checked_url(url, option), patience_s) as db:
            models = models_there(db)
        if models is None:
            raise StoreError(
                "PostgreSQL: expected an archive in this database, got none; make one: edge-reid"
                " index VIDEO… --out postgresql://…"
            )
        return cls(url, models, patience_s=patience_s)

    @classmethod
    def models_at(cls, url: str) -> ArchiveModels | None:
        """What the one that is there was made with; None: there is none yet.

        Raises:
            UsageError: the URL holds a password, or is none.
            StoreError: the database cannot be used, or the archive is of a newer edge-reid.
        """
        with _session(checked_url(url, "--out")) as db:
            return models_there(db)

    @property
    def models(self) -> ArchiveModels:
        return self._models

    def has(self, sha256: str) -> bool:
        with _session(self._url, self._patience_s) as db:
            return db.execute(_HAS_VIDEO.encode(), (sha256,)).fetchone() is not None

    def add(self, video: VideoTracks) -> int:
        try:
            return self._added(video)
        except _UnreachableError:  # in the midst of it: what was written is rolled back
            if not self._patience_s:
                raise
            return self._added(video)

    def _added(self, video: VideoTracks) -> int:
        camera = video.tracks[0].camera if video.tracks else None
        row = video.sha256, camera, len(video.tracks)
        with _session(self._url, self._patience_s) as db, db.transaction(), db.cursor() as cursor:
            cursor.execute(_ADD_VIDEO.encode(), row)
            if cursor.rowcount == 0:  # another indexer was faster
                return 0
            copy_tracks(cursor, video)
        return len(video.tracks)

    def make_index(self, progress: StageProgress) -> None:
        progress("making an index", 0, None)
        with _session(self._url) as db:
            make_ivfflat(db, self._models.dimension, self._exact_tracks)

    def find(
        self, vector: Vector, *, top: int, camera: str | None, progress: StageProgress
    ) -> ArchiveFindings:
        progress("comparing", 0, None)
        with _session(self._url) as db:
            return find_tracks(db, vector, top=top, camera=camera, exact_tracks=self._exact_tracks)

    def advice(self, found: ArchiveFindings) -> str | None:
        if not found.is_exact or found.tracks <= self._exact_tracks:
            return None
        return (
            f"{found.tracks} tracks were compared one by one; `edge-reid index` makes an index of"
            " them, if this database has none yet"
        )


class _UnreachableError(StoreError):
    """A database that is not there, or is there no more."""


@contextmanager
def _session(url: str, patience_s: float = 0.0) -> Iterator[psycopg.Connection]:
    """A connection; what the database says is raised as one line.

    Raises:
        ArchiveAccessError: it was waited for, is there, and does not let us in.
        StoreError: it cannot be reached or used.
    """
    try:
        with _connected(url, patience_s) as db:
            find_pgvector(db)
            yield db
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"PostgreSQL: {one_line(error)}; let who owns the database or {SCHEMA} grant it"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        advice = "" if error.sqlstate else f"; {_LOGIN}"  # else it was reached
        raise _UnreachableError(f"PostgreSQL: cannot be used: {one_line(error)}{advice}") from error
    except (psycopg.Error, UnicodeError) as error:
        raise StoreError(
            f"PostgreSQL: {one_line(error)}; check the schema {SCHEMA}, made by edge-reid index"
        ) from error


def _connected(url: str, patience_s: float) -> psycopg.Connection:
    deadline_s = time.monotonic() + patience_s
    was_answering = False
    while True:
        try:
            return connected(url, "edge-reid archive")
        except psycopg.OperationalError as error:
            if time.monotonic() >= deadline_s:
                raise
            answers = is_answering(url) and not _is_crowded(error)
            if answers and was_answering:  # before and after: it was there to refuse us
                raise ArchiveAccessError(
                    f"PostgreSQL: does not let us in: {one_line(error)}; {_LOGIN}"
                ) from error
        was_answering = answers
        if not answers:
            time.sleep(RETRY_S)


def _is_crowded(error: psycopg.OperationalError) -> bool:
    """Whether there are only too many others. In another language it is not known, nor waited for:
    of what fails before a connection stands, libpq gives no code.
    """
    return any(words in str(error) for words in ("too many", "connection slots"))
