"""The tables of an archive in PostgreSQL, and the extension that they need: pgvector.

They lie in a schema of their own, which nobody else may look into until its owner lets them.
"""

from __future__ import annotations

import psycopg

from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.core.errors import StoreError

SCHEMA = "edge_reid_archive"
VIDEOS, TRACKS = f"{SCHEMA}.videos", f"{SCHEMA}.tracks"
_HEAD = f"{SCHEMA}.archive"
_VERSION = 1
_CHANGE_LOCK = 0x65724152
"""Advisory lock: one indexer at a time makes tables."""
INLINE_DIMENSION = 1900
"""Longer embeddings do not fit into a page beside the rest of a row, nor into an index."""

_TABLES = f"""
    CREATE TABLE {_HEAD} (
        version integer NOT NULL,
        model_id text NOT NULL,
        dimension integer NOT NULL,
        detector_sha256 text NOT NULL
    );
    CREATE TABLE {VIDEOS} (
        sha256 text COLLATE "C" PRIMARY KEY,
        camera text,
        tracks integer NOT NULL,
        indexed_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE {TRACKS} (
        sha256 text COLLATE "C" NOT NULL REFERENCES {VIDEOS} ON DELETE CASCADE,
        number integer NOT NULL,
        video text NOT NULL,
        camera text NOT NULL,
        track_id bigint NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        captured_at timestamptz NOT NULL,
        x1 double precision NOT NULL, y1 double precision NOT NULL,
        x2 double precision NOT NULL, y2 double precision NOT NULL,
        frame_width integer NOT NULL,
        frame_height integer NOT NULL,
        crops integer NOT NULL,
        embedding vector(%d) NOT NULL,
        PRIMARY KEY (sha256, number)
    );
    CREATE INDEX tracks_by_camera ON {TRACKS} (camera, first_seen)"""


def models_there(db: psycopg.Connection) -> ArchiveModels | None:
    """What the archive of a database was made with; None: it has none.

    Raises:
        StoreError: it is of a newer edge-reid.
        psycopg.Error: the database says no.
    """
    (found,) = db.execute("SELECT to_regclass(%s)::text", (_HEAD,)).fetchone() or (None,)
    if found is None:
        return None
    columns = f"SELECT version, model_id, dimension, detector_sha256 FROM {_HEAD}"  # noqa: S608 - our own names
    rows = db.execute(columns.encode()).fetchall()
    if len(rows) != 1:
        raise StoreError(
            f"PostgreSQL: expected one row in {_HEAD}, got {len(rows)}: the archive is damaged;"
            f" restore it, or DROP SCHEMA {SCHEMA} CASCADE and index again"
        )
    version, model_id, dimension, detector_sha256 = rows[0]
    if version != _VERSION:
        raise StoreError(
            f"PostgreSQL: expected an archive of version {_VERSION}, got {version} of a newer"
            " edge-reid; upgrade this one"
        )
    return ArchiveModels(model_id, dimension, detector_sha256)


def make_tables(db: psycopg.Connection, models: ArchiveModels) -> ArchiveModels:
    """Make an archive, unless another has made one meanwhile.

    Args:
        db: whose lock goes with it; not in a transaction.
        models: that it will be of.

    Returns:
        what it was made with.

    Raises:
        StoreError: pgvector is missing.
        psycopg.Error: the database says no.
    """
    # before the transaction, which else would go by what it knew of tables while it waited
    db.execute("SELECT pg_advisory_lock(%s)", (_CHANGE_LOCK,))
    with db.transaction():
        if there := models_there(db):
            return there
        _add_pgvector(db)
        find_pgvector(db)
        if db.execute("SELECT to_regnamespace(%s)::text", (SCHEMA,)).fetchone() == (None,):
            db.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        db.execute((_TABLES % models.dimension).encode())
        if models.dimension <= INLINE_DIMENSION:  # beside the row: a search reads them all
            db.execute(f"ALTER TABLE {TRACKS} ALTER embedding SET STORAGE PLAIN".encode())
        row = _VERSION, models.model_id, models.dimension, models.detector_sha256
        db.execute(f"INSERT INTO {_HEAD} VALUES (%s, %s, %s, %s)".encode(), row)  # noqa: S608 - our own names
    return models


def find_pgvector(db: psycopg.Connection) -> None:
    """Let a session find the types and operators of pgvector, in whatever schema they are.

    Raises:
        StoreError: they are where this role may not look.
        psycopg.Error: the database says no.
    """
    found = db.execute(
        "SELECT set_config('search_path', quote_ident(nspname), false),"
        " has_schema_privilege(nspname, 'USAGE'), quote_ident(current_user) FROM pg_extension"
        " JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
    ).fetchone()
    if found and not found[1]:
        schema, _, role = found
        raise StoreError(
            f"PostgreSQL: the extension vector lies in the schema {schema}, which this role may not"
            f" use; let who owns it run GRANT USAGE ON SCHEMA {schema} TO {role}"
        )


def _add_pgvector(db: psycopg.Connection) -> None:
    found = db.execute(
        "SELECT installed_version FROM pg_available_extensions WHERE name = 'vector'"
    ).fetchone()
    if found is None:
        raise StoreError(
            "PostgreSQL: expected the extension vector, got none on this server; install pgvector"
            f" there (Debian: postgresql-{db.info.server_version // 10000}-pgvector)"
        )
    if found == (None,):
        _create_pgvector(db)


def _create_pgvector(db: psycopg.Connection) -> None:
    try:
        db.execute("CREATE EXTENSION vector")
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            "PostgreSQL: expected the extension vector in this database, got none, and this role"
            " may not create it; let a superuser run CREATE EXTENSION vector in it"
        ) from error
    except psycopg.errors.InvalidSchemaName as error:
        raise StoreError(
            "PostgreSQL: expected a schema for the extension vector, got none that search_path"
            " names; run CREATE EXTENSION vector SCHEMA public in this database, or name another"
        ) from error
