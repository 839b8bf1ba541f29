"""Numbers in the addresses of the page."""

from __future__ import annotations

from starlette.convertors import IntegerConvertor, register_url_convertor


class NumberConvertor(IntegerConvertor):
    """Of few enough digits for Python to read and for SQLite to look up; Starlette's own takes any,
    and of very many it is an error of the page's that anybody can fill the log with.
    """

    regex = "[0-9]{1,15}"


def know_numbers() -> None:
    """Let routes say `{name:number}`."""
    register_url_convertor("number", NumberConvertor())
