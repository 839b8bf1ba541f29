"""How a PostgreSQL database is addressed and connected to; needs psycopg 3 (extra `postgres`)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from edge_reid.core.errors import UsageError

CONNECT_TIMEOUT_S = 5
_PLACES = "PGPASSFILE, PGSERVICEFILE or PGPASSWORD"
"""Where a password may stand."""


def checked_url(url: str, option: str) -> str:
    """The URL of a database, if it is one and holds no password.

    Raises:
        UsageError: it is none, or others could read a password in it.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise UsageError(f"{option}: is no PostgreSQL URL: {_reason(url, error)}") from None
    # behind an @ in the path stands the host: the password before it has an unquoted /
    if parts.keys() & {"password", "sslpassword"} or "@" in urlsplit(url).path:
        raise UsageError(
            f"{option}: should hold no password, which others could read; put it into {_PLACES}"
        )
    return url


def _reason(url: str, error: psycopg.Error) -> str:
    """What libpq says of a URL, unless it quotes what stands before the host."""
    said, login = one_line(error), url.rpartition("@")[0]
    quoted = re.findall(r'"([^"]+)"', said)
    if any(part in login or login in part for part in quoted if login):
        return f"expected postgresql://user@host/database, the password in {_PLACES}"
    return said


def connected(url: str, program: str) -> psycopg.Connection:
    """A connection that commits each statement, and speaks UTF-8 and ISO dates, which psycopg can
    read, whatever those of the database are.

    Args:
        url: as of `checked_url`.
        program: what the database calls us.

    Raises:
        psycopg.Error: it cannot be had.
    """
    db = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name=program,
        client_encoding="utf8",
    )
    try:
        db.execute("SET datestyle = 'ISO'")
    except BaseException:
        db.close()
        raise
    return db


def is_answering(url: str) -> bool:
    """Whether a server is there and has begun: what it then refuses is no matter of waiting.

    Unlike its words, which are in its own language, this needs no right to get in.
    """
    conninfo = make_conninfo(url, connect_timeout=CONNECT_TIMEOUT_S)
    return psycopg.pq.PGconn.ping(conninfo.encode()) == psycopg.pq.Ping.OK


def one_line(error: psycopg.Error | UnicodeError) -> str:
    """What a database says, without its line breaks and our own SQL."""
    said = error.diag if isinstance(error, psycopg.Error) else None
    if said is None or said.message_primary is None:
        return " ".join(str(error).split())
    parts = (said.message_primary, said.message_detail, said.message_hint)
    return " ".join(" ".join(filter(None, parts)).split())
