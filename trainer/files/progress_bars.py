"""Progress on standard error for what takes longer than two seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def bar(items: Sequence[T], label: str) -> Iterable[T]:
    """The items, with a bar on a terminal that goes away at the end."""
    screen = Console(stderr=True)
    return track(items, label, console=screen, transient=True, disable=not screen.is_terminal)


def waiting(label: str) -> AbstractContextManager[object]:
    """A spinner while something is being computed in one go."""
    return Console(stderr=True).status(label)
