"""Types of the functions that long work calls to report its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

StageProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the name of the stage, the amount done, and the whole amount; None: not known."""
