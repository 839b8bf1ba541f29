"""SQLite files of ours as an older or a newer edge-reid would have left them."""

from __future__ import annotations

import sqlite3


def without_checksums(db: sqlite3.Connection) -> None:
    """As before there were any."""
    triggers = db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        db.execute(f"DROP TRIGGER {name}")
    db.execute("DROP TABLE row_checksums")


def of_a_newer_one(db: sqlite3.Connection, version: int) -> None:
    """With tables of a format that is still to come."""
    db.execute(f"PRAGMA user_version = {version}")
    db.execute(
        "UPDATE row_checksums SET crc32 = ? WHERE owner = '' AND row_key = 'user_version'",
        (version,),
    )
