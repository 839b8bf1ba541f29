"""What a person sees: lines on stdout, bars of bytes on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rich.progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from edge_reid.core.progress import Progress

_console = Console(highlight=False, markup=False, soft_wrap=True)


def say(line: str) -> None:
    """A line that stays."""
    _console.print(line)


@contextmanager
def bar(label: str) -> Iterator[Progress]:
    """A bar that is told how many bytes are done, and of how many."""
    console = Console(stderr=True)
    with rich.progress.Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bars:
        task = bars.add_task(label, total=None)

        def progress(done: int, total: int | None) -> None:
            bars.update(task, completed=done, total=total)

        yield progress
