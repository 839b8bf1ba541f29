"""Tables and words that people read on a terminal, and programs in a pipe."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_NO_WIDTH = 100_000
"""Characters; tables take only what they need."""


def print_table(titles: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns of plain text; no cell is cut."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    print_whole(table)


def print_whole(table: Table) -> None:
    """Print a table: as wide as it needs in a pipe, where nobody knows a width."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _NO_WIDTH
    console.print(table)


def printable(text: str) -> str:
    """The text with escapes for whatever moves the cursor or hides something."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def when(utc_s: float) -> str:
    """A moment, to the minute."""
    return datetime.fromtimestamp(utc_s, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def count(things: Collection[object], one: str, many: str | None = None) -> str:
    """How many of what: `1 template`, `2 templates`."""
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"
