"""Which archive an address means: a folder, or a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_reid.archive.archive_store import ArchiveModels, ArchiveStore
from edge_reid.archive.folder_archive import FolderArchive
from edge_reid.archive.track_archive import HEAD, TrackArchive
from edge_reid.core.errors import UsageError
from edge_reid.core.redact import redact
from edge_reid.storage.postgres_urls import is_postgres, needs_psycopg

if TYPE_CHECKING:
    from edge_reid.archive.postgres_archive import PostgresArchive


def create_archive(where: str, models: ArchiveModels) -> ArchiveStore:
    """A new one, or the one that is there, if it was made with the same models.

    Args:
        where: a folder, or `postgresql://…`.
        models: that its tracks will be of.

    Raises:
        UsageError: it is neither, or psycopg is not installed.
        ModelMismatchError: it was made with other models.
        StoreError: something else is there, or it cannot be written.
    """
    if is_postgres(where):
        return _postgres("--out").create(where, models)
    return FolderArchive(TrackArchive.create(_folder(where, "--out"), models))


def archived_models(where: str) -> ArchiveModels | None:
    """What the archive that is there was made with; None: there is none yet.

    Args:
        where: a folder, or `postgresql://…`.

    Raises:
        UsageError: it is neither, or psycopg is not installed.
        StoreError: it cannot be read, or is of a newer edge-reid.
    """
    if is_postgres(where):
        return _postgres("--out").models_at(where)
    folder = _folder(where, "--out")
    return TrackArchive.open(folder).models if (folder / HEAD).exists() else None


def open_archive(where: str, option: str = "--archive", *, patience_s: float = 0.0) -> ArchiveStore:
    """The one that is there.

    Args:
        where: a folder, or `postgresql://…`.
        option: how the user gave it, for messages.
        patience_s: how long a database is waited for that does not answer.

    Raises:
        UsageError: it is neither, or psycopg is not installed.
        StoreError: there is none, or it is of a newer edge-reid.
    """
    if is_postgres(where):
        return _postgres(option).open(where, option, patience_s=patience_s)
    return FolderArchive(TrackArchive.open(_folder(where, option)))


def from_anywhere(where: str) -> str:
    """The address for another machine, or another folder to stand in."""
    return where if is_postgres(where) else str(Path(where).absolute())


def _folder(where: str, option: str) -> Path:
    if "://" in where:
        raise UsageError(
            f"{option} {redact(where)}: expected a folder or postgresql://HOST/DATABASE"
        )
    return Path(where)


def _postgres(option: str) -> type[PostgresArchive]:
    try:
        from edge_reid.archive.postgres_archive import PostgresArchive  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise needs_psycopg(option) from error
    return PostgresArchive
