"""How long work says how far it is; a bar, if any, is drawn by who asked for the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

StageProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is, and of how much, if that is known."""

Progress: TypeAlias = Callable[[int, int | None], None]
"""Told how much is done, and of how much, if that is known: in bytes or in things."""


def no_progress(_done: int, _total: int | None) -> None:
    """Nobody watches."""


def of_stage(stage: str, progress: StageProgress) -> Progress:
    """The progress of one stage, told to who watches all of them."""
    return lambda done, total: progress(stage, done, total)
