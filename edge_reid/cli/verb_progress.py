"""Progress bars on stderr, of one look for every verb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edge_reid.core.progress import StageProgress


@contextmanager
def counting(label: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar, and the function that moves it: items done, and items in all if that is known."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=(console := Console(stderr=True)),
        disable=not console.is_terminal,  # else an empty line is left
        transient=True,
    ) as progress:
        task = progress.add_task(label, total=None)

        def advance(done: int, expected: int | None) -> None:
            progress.update(task, completed=done, total=expected)

        yield advance


@contextmanager
def stages() -> Iterator[StageProgress]:
    """A bar for work in stages, and the function that moves it."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=(console := Console(stderr=True)),
        disable=not console.is_terminal,  # else an empty line is left
        transient=True,
    ) as progress:
        task = progress.add_task("starting", total=None)

        def show(what: str, done: int, total: int | None) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield show
