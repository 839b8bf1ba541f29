"""A sink's PostgreSQL as earlier releases made it, and what lies in one, read without our code."""

from __future__ import annotations

import psycopg

from edge_reid.consumers.event_store import COLUMNS, row
from edge_reid.consumers.postgres_schema import FIRST_TABLE, STRANGERS
from edge_reid.wire.payloads import EventPayload

COLUMNS_0_5 = (
    *("event_id", "kind", "seq", "type", "site", "agent", "camera", "track_id"),
    *("identity", "stranger", "similarity", "threshold", "margin", "crops"),
    *("captured_at", "decided_at", "first_seen", "last_seen"),
    *("x1", "y1", "x2", "y2", "frame_width", "frame_height"),
    *("model_id", "gallery_version", "replayed", "stored_at"),
)


def make_tables_0_5(where: str, *events: EventPayload) -> None:
    """One table, not yet split into months."""
    marks = ", ".join(["%s"] * len(COLUMNS_0_5))
    with psycopg.connect(where) as db:
        db.execute("CREATE TABLE edge_reid_schema (version integer NOT NULL)")
        db.execute("INSERT INTO edge_reid_schema VALUES (2)")
        db.execute(FIRST_TABLE)
        db.execute(STRANGERS)
        for event in events:
            db.execute(
                f"INSERT INTO edge_reid_events ({', '.join(COLUMNS_0_5)}) VALUES ({marks})",
                [dict(zip(COLUMNS, row(event), strict=True))[name] for name in COLUMNS_0_5],
            )


def partitions(where: str) -> dict[str, list[int]]:
    """Numbers of the events in every partition."""
    with psycopg.connect(where) as db:
        names = db.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = to_regclass('edge_reid_events')"
        ).fetchall()
        return {
            name: [seq for (seq,) in db.execute(f"SELECT seq FROM {name} ORDER BY seq").fetchall()]
            for (name,) in names
        }
