"""Which store a URL means."""

from __future__ import annotations

from pathlib import Path

from edge_reid.consumers.event_readers import read_lines, read_sqlite
from edge_reid.consumers.event_store import EventStore
from edge_reid.consumers.lines_store import LinesStore
from edge_reid.consumers.sqlite_store import SqliteStore
from edge_reid.consumers.stored_query import Answer, StoredQuery
from edge_reid.consumers.webhook_store import WebhookStore, WebhookTarget
from edge_reid.core.errors import UsageError
from edge_reid.core.redact import redact
from edge_reid.storage.file_head import FileHead
from edge_reid.storage.postgres_urls import is_postgres, needs_psycopg, scheme_of

STDOUT = "-"
STDIN = "-"


def open_store(where: str, webhook: WebhookTarget | None = None) -> EventStore:
    """The store at `sqlite:///FILE`, `postgresql://…`, FILE.jsonl, or `-` for standard output; or
    the web server of a webhook.

    Raises:
        UsageError: it is none of these.
        StoreError: it cannot be opened.
    """
    if webhook:
        return WebhookStore(webhook)
    if scheme_of(where) == "sqlite":
        return SqliteStore(_sqlite_path("--to", where))
    if is_postgres(where):
        return _postgres_store(where)
    if where == STDOUT or where.endswith(".jsonl"):
        return LinesStore(None if where == STDOUT else Path(where))
    raise _none_of_ours("--to", where)


def read_events(where: str, query: StoredQuery[Answer], option: str = "--from") -> list[Answer]:
    """What a query asks for, oldest first.

    Args:
        where: `sqlite:///FILE`, `postgresql://…`, a file of SQLite or of JSON lines, or `-` for
            standard input.
        query: which of them.
        option: how the user gave `where`, for messages.

    Raises:
        UsageError: it is none of these.
        StoreError: it cannot be read.
    """
    scheme = scheme_of(where)
    if scheme == "sqlite":
        return read_sqlite(_sqlite_path(option, where), query)
    if is_postgres(where):
        return _postgres_events(where, query, option)
    if scheme:
        raise _none_of_ours(option, where)
    if where == STDIN:
        return read_lines(None, query)
    return (read_sqlite if _is_sqlite(Path(where)) else read_lines)(Path(where), query)


def _is_sqlite(path: Path) -> bool:
    try:
        return FileHead.read(path).is_of_a_database
    except OSError:
        return False  # whoever reads it says why


def is_database(where: str) -> bool:
    """Whether what is stored there can be deleted event by event."""
    return is_postgres(where) or scheme_of(where) == "sqlite"


def is_web_server(where: str) -> bool:
    """Whether events go there by HTTP; `http://` is refused later, with the reason."""
    return scheme_of(where) in {"https", "http"}


def _sqlite_path(option: str, where: str) -> Path:
    path = where.removeprefix("sqlite:///")
    if path in {where, ""}:
        raise UsageError(
            f"{option} {redact(where)}: expected sqlite:///FILE, or four slashes for a path from "
            "the root, got no file behind three"
        )
    return Path(path)


def _none_of_ours(option: str, where: str) -> UsageError:
    https = "https://HOST/PATH, " if option == "--to" else ""  # no events come from there
    return UsageError(
        f"{option} {redact(where)}: expected sqlite:///FILE, postgresql://HOST/DATABASE, {https}"
        "FILE.jsonl or -"
    )


def _postgres_store(where: str) -> EventStore:
    try:
        from edge_reid.consumers.postgres_store import PostgresStore  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise needs_psycopg("--to") from error
    return PostgresStore(where)


def _postgres_events(where: str, query: StoredQuery[Answer], option: str) -> list[Answer]:
    try:
        from edge_reid.consumers.postgres_reader import read_postgres  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise needs_psycopg(option) from error
    return read_postgres(where, query, option)
