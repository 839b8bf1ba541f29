"""Reads events back from where a sink, or `run --events`, put them."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from edge_reid.consumers.stored_query import Answer, StoredQuery, answers
from edge_reid.core.errors import StoreError
from edge_reid.wire.payloads import AnyEvent, parse_event

BAD_LINES_SHOWN = 10


def read_lines(path: Path | None, query: StoredQuery[Answer]) -> list[Answer]:
    """Events of a file of JSON lines, oldest first; None: of standard input.

    Raises:
        StoreError: the file cannot be read, or a line of it is no event.
    """
    try:
        content = sys.stdin.buffer.read() if path is None else path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read: {error.strerror}; give the file of a sink or of run --events"
        ) from error
    return query.chosen(_parsed(content, str(path or "standard input")))


def _parsed(content: bytes, where: str) -> list[AnyEvent]:
    """Every event; one that is still being written, not whole and without its line end, is left
    out.
    """
    *lines, last = content.split(b"\n")
    if _event_or_none(last):  # whole: only its line end was left out
        lines.append(last)
    events = [_event_or_none(line) for line in lines]
    bad = [number for number, event in enumerate(events, 1) if event is None]
    if bad:
        shown = ", ".join(map(str, bad[:BAD_LINES_SHOWN])) + ", …" * (len(bad) > BAD_LINES_SHOWN)
        raise StoreError(
            f"{where}: expected an event a line, got something else in {len(bad)} of {len(lines)} "
            f"lines ({shown}); take them out, or give the file of a sink or of run --events"
        )
    return [event for event in events if event is not None]


def _event_or_none(line: bytes) -> AnyEvent | None:
    try:
        return parse_event(line)
    except ValueError:
        return None


def read_sqlite(path: Path, query: StoredQuery[Answer]) -> list[Answer]:
    """Events of a sink's SQLite file, oldest first. A sink may write it meanwhile.

    Raises:
        StoreError: it is not there, not a sink's, or holds what is no event.
    """
    sql, parameters = query.select("?")
    try:
        path.stat()  # SQLite says only that it cannot open the file
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(sql, parameters).fetchall()
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(
            f"{path}: cannot be read: {reason}; give the file of a sink of this edge-reid"
        ) from error
    return answers(rows[::-1], query, str(path))
