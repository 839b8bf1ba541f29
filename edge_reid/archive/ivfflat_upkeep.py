"""The approximate index of an archive in PostgreSQL: when it is made, and made anew.

Pgvector's IVFFlat: embeddings in lists by the nearest of some centroids, as in `ann_index`, and
whole. It is made beside those who index and search, of whom nobody waits for it; PostgreSQL itself
adds what comes and takes away what goes. Its other kind, HNSW, takes 25 times as long to make, and
finds less of a large archive (`tests/bench/README.md`).
"""

from __future__ import annotations

import logging
from contextlib import suppress

import psycopg

from edge_reid.archive.ann_upkeep import OUTGROWN
from edge_reid.archive.archive_tables import INLINE_DIMENSION, SCHEMA, TRACKS, VIDEOS
from edge_reid.storage.postgres import one_line

_log = logging.getLogger(__name__)

EXACT_TRACKS = 100_000
"""So many take 50 to 130 ms of a processor (`tests/bench/pgvector_search.py`)."""
TRACKS_A_LIST = 1000
MOST_LISTS = 1000
"""The memory that choosing centroids takes grows with their square."""
_NAME = "tracks_by_embedding"
_DRAFT = "tracks_by_embedding_draft"
_BUILD_LOCK = 0x65724153
"""Advisory lock: one indexer at a time makes an index."""
_SETTINGS = (
    "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),"
    # centroids: 260 MB for the most lists, of embeddings of 256 numbers
    " set_config('maintenance_work_mem', greatest(setting::bigint, 786432)::text, false)"
    " FROM pg_settings WHERE name = 'maintenance_work_mem'"
)


def lists_of_index(db: psycopg.Connection) -> int | None:
    """How many lists the index has; None: there is none that is whole.

    Raises:
        psycopg.Error: the database says no.
    """
    found = db.execute(
        "SELECT substring(array_to_string(reloptions, ' ') from 'lists=([0-9]+)')::integer"
        " FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indexrelid = to_regclass(%s) AND indisvalid",
        (f"{SCHEMA}.{_NAME}",),
    ).fetchone()
    return found[0] if found else None


def make_ivfflat(db: psycopg.Connection, dimension: int, exact_tracks: int) -> None:
    """Make an index if the tracks are many, and none is there or they have outgrown it, and nobody
    else is at it.

    What one that was stopped has left is removed. A role that may not make it leaves it, with a
    line in the log: all tracks are compared.

    Args:
        db: not in a transaction.
        dimension: of the embeddings.
        exact_tracks: for so many none is made.

    Raises:
        psycopg.Error: the database says no.
    """
    tracks = _count(db)
    if tracks <= exact_tracks or dimension > INLINE_DIMENSION or not _is_needed(db, tracks):
        return
    if db.execute("SELECT pg_try_advisory_lock(%s)", (_BUILD_LOCK,)).fetchone() != (True,):
        return
    try:
        if _is_needed(db, tracks):  # and not made by another between the two questions
            _make(db, lists_for(tracks))
    except psycopg.errors.InsufficientPrivilege as error:
        _log.warning("no index of %s tracks: %s. All are compared", tracks, one_line(error))
    finally:  # at once: a server notices only some time later that a connection is closed
        with suppress(psycopg.Error):
            db.execute("SELECT pg_advisory_unlock(%s)", (_BUILD_LOCK,))


def lists_for(tracks: int) -> int:
    """A list for a thousand tracks.

    >>> lists_for(150_000), lists_for(10_000_000)
    (150, 1000)
    """
    return min(MOST_LISTS, max(2, tracks // TRACKS_A_LIST))


def _count(db: psycopg.Connection) -> int:
    counted = f"SELECT coalesce(sum(tracks), 0) FROM {VIDEOS}"  # noqa: S608 - our own names
    (tracks,) = db.execute(counted.encode()).fetchone() or (0,)
    return int(tracks)


def _is_needed(db: psycopg.Connection, tracks: int) -> bool:
    lists = lists_of_index(db)
    if lists is None:
        return True
    return lists < MOST_LISTS and tracks >= OUTGROWN * TRACKS_A_LIST * lists


def _make(db: psycopg.Connection, lists: int) -> None:
    """A new one beside the one that is there, and then in its place."""
    db.execute(_SETTINGS)
    kind = f"USING ivfflat (embedding vector_ip_ops) WITH (lists = {lists})"
    for statement in (
        f"DROP INDEX CONCURRENTLY IF EXISTS {SCHEMA}.{_DRAFT}",
        f"CREATE INDEX CONCURRENTLY {_DRAFT} ON {TRACKS} {kind}",
        f"DROP INDEX CONCURRENTLY IF EXISTS {SCHEMA}.{_NAME}",
        f"ALTER INDEX {SCHEMA}.{_DRAFT} RENAME TO {_NAME}",
    ):
        db.execute(statement.encode())
