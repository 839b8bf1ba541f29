"""What operators have said of templates by which somebody got a wrong name.

A table that comes with its first row, and no format of its own: a release that does not know it can
go on with the file. It goes with its template, and so with the person.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

_TABLE = """
CREATE TABLE IF NOT EXISTS complaints (
    event_id TEXT PRIMARY KEY,
    template_id INTEGER NOT NULL REFERENCES templates ON DELETE CASCADE,
    identity_id INTEGER NOT NULL,  -- under which it was complained of: it may be another's now
    similarity REAL NOT NULL,
    told_utc_s REAL NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Complaints:
    """All that were made of one template."""

    template_id: int
    times: int
    similarity: float
    """The largest, of the template to somebody who was not this person."""
    last_utc_s: float


def note(
    db: sqlite3.Connection, event_id: str, template_id: int, similarity: float, now_utc_s: float
) -> None:
    """Note a complaint, once for an event. The caller holds the transaction; without a template of
    this number nothing is noted.
    """
    db.execute(_TABLE)
    db.execute(
        "INSERT OR IGNORE INTO complaints SELECT ?, template_id, identity_id, ?, ? "
        "FROM templates WHERE template_id = ?",
        (event_id, similarity, now_utc_s, template_id),
    )


def read(db: sqlite3.Connection) -> tuple[Complaints, ...]:
    """Of templates that are still of the same person, the most complained of first."""
    if not _is_there(db):
        return ()
    rows = db.execute(
        "SELECT template_id, count(*), max(similarity), max(told_utc_s) "
        "FROM complaints JOIN templates USING (template_id, identity_id) "
        "GROUP BY template_id ORDER BY count(*) DESC, template_id"
    )
    return tuple(Complaints(*row) for row in rows)


def forget(db: sqlite3.Connection, template_ids: Collection[int]) -> None:
    """Somebody who knows better uses these templates all the same."""
    if _is_there(db):
        db.executemany("DELETE FROM complaints WHERE template_id = ?", [(n,) for n in template_ids])


def _is_there(db: sqlite3.Connection) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'complaints'")
    return found.fetchone() is not None
