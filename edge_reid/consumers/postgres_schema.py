"""The tables and views in PostgreSQL, and how they came to be what they are."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from edge_reid.consumers.event_query import LAST_OF_TRACKS
from edge_reid.consumers.event_store import TABLE
from edge_reid.consumers.postgres_months import CHANGE_LOCK, Month, add_month
from edge_reid.consumers.zone_rows import ZONE_TABLE
from edge_reid.core.errors import StoreError

FIRST_TABLE = """CREATE TABLE edge_reid_events (
        event_id text PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('hit', 'unknown')),
        seq bigint NOT NULL,
        type text NOT NULL,
        site text NOT NULL,
        agent text NOT NULL,
        camera text NOT NULL,
        track_id bigint NOT NULL,
        identity text,
        similarity double precision,
        threshold double precision NOT NULL,
        margin double precision,
        crops bigint NOT NULL,
        captured_at timestamptz NOT NULL,
        decided_at timestamptz NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        x1 double precision NOT NULL, y1 double precision NOT NULL,
        x2 double precision NOT NULL, y2 double precision NOT NULL,
        frame_width bigint NOT NULL,
        frame_height bigint NOT NULL,
        model_id text NOT NULL,
        gallery_version bigint NOT NULL,
        replayed boolean NOT NULL,
        stored_at timestamptz NOT NULL
    );
    CREATE INDEX edge_reid_events_by_identity ON edge_reid_events (identity, decided_at);
    CREATE INDEX edge_reid_events_by_camera ON edge_reid_events (site, camera, decided_at);
    CREATE INDEX edge_reid_events_by_agent ON edge_reid_events (site, agent, seq)"""

STRANGERS = """ALTER TABLE edge_reid_events ADD COLUMN stranger text;
    CREATE INDEX edge_reid_events_by_stranger ON edge_reid_events (stranger, decided_at)"""

_OLD_TABLE = "edge_reid_events_before"

# The key begins with the time: it finds an event again, and orders all by time. What an event says
# makes its event_id, the time included, so no event_id has two times.
_PARTITIONED = f"""
    ALTER TABLE edge_reid_events RENAME TO {_OLD_TABLE};
    DROP INDEX edge_reid_events_by_identity, edge_reid_events_by_camera,
        edge_reid_events_by_agent, edge_reid_events_by_stranger;
    ALTER INDEX edge_reid_events_pkey RENAME TO {_OLD_TABLE}_pkey;
    CREATE TABLE edge_reid_events (LIKE {_OLD_TABLE} INCLUDING CONSTRAINTS INCLUDING DEFAULTS)
        PARTITION BY RANGE (decided_at);
    ALTER TABLE edge_reid_events ADD PRIMARY KEY (decided_at, event_id);
    ALTER TABLE edge_reid_events ADD COLUMN continues bigint;
    CREATE TABLE edge_reid_events_other PARTITION OF edge_reid_events DEFAULT;
    CREATE INDEX edge_reid_events_by_identity ON edge_reid_events (identity, decided_at)
        WHERE identity IS NOT NULL;
    CREATE INDEX edge_reid_events_by_stranger ON edge_reid_events (stranger, decided_at)
        WHERE stranger IS NOT NULL;
    CREATE INDEX edge_reid_events_by_camera ON edge_reid_events (site, camera, decided_at);
    CREATE INDEX edge_reid_events_by_agent ON edge_reid_events (site, agent, seq);
    CREATE INDEX edge_reid_events_by_track
        ON edge_reid_events (site, agent, camera, track_id, first_seen, decided_at)
"""


def _same_rights(of: str, to: str) -> bytes:
    """SQL: whoever has rights on one table has them on another."""
    statement = f"""DO $$
    DECLARE
        held record;
    BEGIN
        FOR held IN
            SELECT privilege_type, CASE WHEN grantee = 0 THEN 'PUBLIC'
                ELSE grantee::regrole::text END AS grantee
            FROM aclexplode((SELECT relacl FROM pg_class WHERE oid = '{of}'::regclass))
        LOOP
            EXECUTE format('GRANT %s ON {to} TO %s', held.privilege_type, held.grantee);
        END LOOP;
    END $$"""  # noqa: S608 - our own names
    return statement.encode()


_VIEWS = f"""
    CREATE VIEW edge_reid_visits AS
        SELECT site, camera, agent, track_id, coalesce(continues, track_id) AS visit, identity,
            stranger, first_seen, last_seen,
            last_seen - first_seen AS duration, similarity, threshold, type = 'end' AS is_over,
            decided_at, event_id
        FROM edge_reid_events event WHERE {LAST_OF_TRACKS};
    CREATE VIEW edge_reid_last_seen AS
        SELECT DISTINCT ON (identity) identity, site, camera, first_seen, last_seen, event_id
        FROM edge_reid_visits WHERE identity IS NOT NULL ORDER BY identity, last_seen DESC;
    CREATE VIEW edge_reid_hours AS
        SELECT date_trunc('hour', first_seen) AS hour, site, camera, count(*) AS visits,
            count(identity) AS visits_known, count(DISTINCT identity) AS people
        FROM edge_reid_visits GROUP BY 1, 2, 3
"""  # noqa: S608 - our own names


_CORRECTIONS = f"""
    ALTER TABLE edge_reid_events ADD COLUMN corrects text;
    CREATE OR REPLACE VIEW edge_reid_visits AS
        SELECT site, camera, agent, track_id, coalesce(continues, track_id) AS visit,
            CASE WHEN type = 'correction' THEN NULL ELSE identity END AS identity,
            stranger, first_seen, last_seen,
            last_seen - first_seen AS duration, similarity, threshold, type = 'end' AS is_over,
            decided_at, event_id
        FROM edge_reid_events event WHERE {LAST_OF_TRACKS}
"""  # noqa: S608 - our own names


_ZONES = "ALTER TABLE edge_reid_events ADD COLUMN zones text[]"

_ZONE_TABLE = """CREATE TABLE edge_reid_zone_events (
        event_id text PRIMARY KEY,
        seq bigint NOT NULL,
        type text NOT NULL,
        zone text,
        line text,
        direction text,
        site text NOT NULL,
        agent text NOT NULL,
        camera text NOT NULL,
        track_id bigint NOT NULL,
        continues bigint,
        at timestamptz NOT NULL,
        entered_at timestamptz,
        decided_at timestamptz NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        x1 double precision NOT NULL, y1 double precision NOT NULL,
        x2 double precision NOT NULL, y2 double precision NOT NULL,
        frame_width bigint NOT NULL,
        frame_height bigint NOT NULL,
        replayed boolean NOT NULL,
        stored_at timestamptz NOT NULL
    );
    CREATE INDEX edge_reid_zone_events_by_time ON edge_reid_zone_events (at);
    CREATE INDEX edge_reid_zone_events_by_camera ON edge_reid_zone_events (site, camera, at)"""


def _add_zone_table(db: psycopg.Connection) -> None:
    """A table for what happens at zones, with the rights of the other one."""
    db.execute(_ZONE_TABLE)
    db.execute(_same_rights(TABLE, ZONE_TABLE))


def _by_month(db: psycopg.Connection) -> None:
    """Split the one table into a partition a month; events and rights stay."""
    db.execute(_PARTITIONED)
    now_s = time.time()
    months = f"SELECT DISTINCT date_trunc('month', decided_at AT TIME ZONE 'UTC') FROM {_OLD_TABLE}"  # noqa: S608 - our own names
    for (begin,) in db.execute(months.encode()).fetchall():
        month = Month(begin.year, begin.month)
        if month.has_own_partition(now_s):
            add_month(db, month)
    # all columns, somebody's own too, and then the new one, `continues`
    db.execute(f"INSERT INTO {TABLE} SELECT *, NULL FROM {_OLD_TABLE}".encode())  # noqa: S608 - our own names
    db.execute(_same_rights(_OLD_TABLE, TABLE))
    db.execute(_VIEWS.encode())
    try:
        db.execute(f"DROP TABLE {_OLD_TABLE}".encode())
    except psycopg.errors.DependentObjectsStillExist as error:
        raise StoreError(
            f"PostgreSQL: expected a table {TABLE} that nothing else is made of, to split it into"
            f" months, got: {' '.join(str(error).split())}; drop that, and make it anew afterwards"
        ) from error


MIGRATIONS: tuple[str | Callable[[psycopg.Connection], None], ...] = (
    FIRST_TABLE,
    STRANGERS,
    _by_month,
    _CORRECTIONS,
    _ZONES,
    _add_zone_table,
)
"""What brings the tables from one version to the next, from 0 on."""


def migrate_schema(db: psycopg.Connection) -> None:
    """Bring the tables to the version of this edge-reid, in the transaction that is open. A role
    that finds them as they should be needs no right to make any.

    Raises:
        StoreError: they are of a newer edge-reid, somebody's own objects are in the way, or this
            role may not change them.
    """
    db.execute("SELECT pg_advisory_xact_lock(%s)", (CHANGE_LOCK,))
    version = _version(db)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"PostgreSQL: expected tables of version {len(MIGRATIONS)}, got {version} of a newer"
            " edge-reid; upgrade this one"
        )
    if version == len(MIGRATIONS):
        return
    try:
        _migrate(db, version)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"PostgreSQL: expected tables of version {len(MIGRATIONS)}, got {version}, and this"
            f" role may not make others: {' '.join(str(error).split())}; start a sink once with a"
            " role that owns them, or that may make them"
        ) from error


def _version(db: psycopg.Connection) -> int:
    """Of the tables that are there; 0: there are none."""
    (is_there,) = db.execute("SELECT to_regclass('edge_reid_schema') IS NOT NULL").fetchone() or (
        False,
    )
    if not is_there:
        return 0
    found = db.execute("SELECT max(version) FROM edge_reid_schema").fetchone()
    return (found[0] if found else None) or 0


def _migrate(db: psycopg.Connection, version: int) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS edge_reid_schema (version integer NOT NULL)")
    db.execute("SET LOCAL statement_timeout = 0")  # a large table takes its time
    for migration in MIGRATIONS[version:]:
        if callable(migration):
            migration(db)
        else:
            db.execute(migration.encode())
    db.execute("DELETE FROM edge_reid_schema")
    db.execute("INSERT INTO edge_reid_schema VALUES (%s)", (len(MIGRATIONS),))
