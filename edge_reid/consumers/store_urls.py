"""Which store a URL means."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from edge_reid.consumers.event_store import EventStore
from edge_reid.consumers.lines_store import LinesStore
from edge_reid.consumers.sqlite_store import SqliteStore
from edge_reid.core.errors import UsageError
from edge_reid.core.extras import how_to_install
from edge_reid.core.redact import redact

STDOUT = "-"


def open_store(where: str) -> EventStore:
    """The store at `sqlite:///FILE`, `postgresql://…`, FILE.jsonl, or `-` for standard output.

    Raises:
        UsageError: it is none of these.
        StoreError: it cannot be opened.
    """
    scheme = urlsplit(where).scheme
    if scheme == "sqlite":
        return SqliteStore(Path(where.removeprefix("sqlite:///")))
    if scheme in {"postgresql", "postgres"}:
        return _postgres(where)
    if where == STDOUT or where.endswith(".jsonl"):
        return LinesStore(None if where == STDOUT else Path(where))
    raise UsageError(
        f"--to {redact(where)}: expected sqlite:///FILE, postgresql://HOST/DATABASE, FILE.jsonl"
        " or -"
    )


def _postgres(where: str) -> EventStore:
    try:
        from edge_reid.consumers.postgres_store import PostgresStore  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            f"--to postgresql://…: needs psycopg, not installed; {how_to_install('postgres')}"
        ) from error
    return PostgresStore(where)
