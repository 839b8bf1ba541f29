"""Types of the functions that long work calls to report its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

StageProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the name of the stage, the amount done, and the whole amount; None: not known."""

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the amount done, and the whole amount; None: not known. In bytes or in things."""


def no_progress(_done: int, _total: int | None) -> None:
    """Report to nobody."""


def of_stage(stage: str, progress: StageProgress) -> Progress:
    """The progress of one stage, reported with its name."""
    return lambda done, total: progress(stage, done, total)
