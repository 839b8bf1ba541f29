"""Addresses of PostgreSQL databases, told from others without psycopg, which is an extra."""

from __future__ import annotations

from urllib.parse import urlsplit

from edge_reid.core.errors import UsageError
from edge_reid.core.extras import how_to_install


def scheme_of(where: str) -> str:
    """What stands in front of the colon; empty for a file, and for what is no address."""
    try:
        return urlsplit(where).scheme
    except ValueError:
        return ""


def is_postgres(where: str) -> bool:
    """Whether an address is of a PostgreSQL database, in either of libpq's spellings."""
    return scheme_of(where) in {"postgresql", "postgres"}


def needs_psycopg(option: str) -> UsageError:
    """What is raised where psycopg is not installed.

    Args:
        option: how the user gave the address.
    """
    return UsageError(
        f"{option} postgresql://…: needs psycopg, not installed; {how_to_install('postgres')}"
    )
