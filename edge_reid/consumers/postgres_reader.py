"""Reads events back from a sink's PostgreSQL; needs psycopg 3 (the extra `postgres`)."""

from __future__ import annotations

import psycopg

from edge_reid.consumers.stored_query import Answer, StoredQuery, answers
from edge_reid.core.errors import StoreError
from edge_reid.storage.postgres import checked_url, connected, one_line


def read_postgres(url: str, query: StoredQuery[Answer], option: str) -> list[Answer]:
    """Events of a database, oldest first. It needs the right to read, and changes nothing.

    Args:
        url: as of `PostgresStore`.
        query: which events.
        option: how the user gave the URL, for messages.

    Raises:
        UsageError: the URL holds a password, or is none.
        StoreError: the database cannot be reached or read, or holds what is no event.
    """
    sql, parameters = query.select("%s")
    try:
        with connected(checked_url(url, option), "edge-reid hits") as db:
            db.read_only = True
            with db.transaction():
                rows = db.execute(sql.encode(), parameters).fetchall()
    except (psycopg.Error, UnicodeError) as error:
        raise StoreError(
            f"PostgreSQL: cannot be read: {one_line(error)}; check the URL and PGPASSFILE, and that"
            " a sink of this edge-reid has used it"
        ) from error
    return answers(rows[::-1], query, "PostgreSQL")
