"""How a PostgreSQL database is addressed; needs psycopg 3 (the extra `postgres`)."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict

from edge_reid.core.errors import UsageError

CONNECT_TIMEOUT_S = 5


def checked_url(url: str, option: str) -> str:
    """The URL of a database, if it is one and holds no password.

    Raises:
        UsageError: it is none, or others could read a password in it.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise UsageError(f"{option}: is no PostgreSQL URL: {one_line(error)}") from error
    if "password" in parts:
        raise UsageError(
            f"{option}: should hold no password, which others could read; put it into PGPASSFILE,"
            " PGSERVICEFILE or PGPASSWORD"
        )
    return url


def one_line(error: psycopg.Error | UnicodeError) -> str:
    """What a database says, without its line breaks and our own SQL."""
    said = error.diag if isinstance(error, psycopg.Error) else None
    if said is None or said.message_primary is None:
        return " ".join(str(error).split())
    parts = (said.message_primary, said.message_detail, said.message_hint)
    return " ".join(" ".join(filter(None, parts)).split())
