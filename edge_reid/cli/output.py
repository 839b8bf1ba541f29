"""Tables, JSON and counts: what verbs print for people on a terminal and for programs in a pipe."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import typer

from edge_reid.core.foreign_text import LOGGED_MAX, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_NO_WIDTH = 100_000
"""Characters; tables take only what they need."""
_LEAST_ROOM = 20
"""Characters beside an indent, however narrow the terminal is."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run."""


def print_table(titles: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns of plain text under their titles; no cell is cut."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(escape(shown(cell, LOGGED_MAX)) for cell in row))
    print_whole(table)


def print_json(answer: object) -> None:
    """Print an answer as JSON for people and programs: indented, letters of every script as is."""
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))


def print_whole(table: Table) -> None:
    """Print a table: in a pipe, which has no width, as wide as its cells need."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _NO_WIDTH
    console.print(table)


def print_indented(console: Console, start: Text, words: str) -> None:
    """Print words behind their start; on a terminal all further lines of theirs begin there too.

    A pipe has no width, and gets one line.
    """
    from rich.text import Text

    if not console.is_terminal:
        console.print(start + Text(words), soft_wrap=True)
        return
    room = max(_LEAST_ROOM, console.width - start.cell_len)
    lines = Text(words).wrap(console, room) or [Text()]
    for line in lines:
        line.rstrip()
        console.print(start + line)
        start = Text(" " * start.cell_len)


def when(utc_s: float) -> str:
    """A moment to the minute: `2026-03-01 12:00 UTC`."""
    return datetime.fromtimestamp(utc_s, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def count(things: Collection[object], one: str, many: str | None = None) -> str:
    """How many of what: `1 template`, `2 templates`; `many` is a plural without -s."""
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`; at least one."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def harmless(value: object) -> object:
    """A value for a cell of a CSV file: text that a spreadsheet would run gets a `'`."""
    if isinstance(value, list):
        return " ".join(value)
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula else value
