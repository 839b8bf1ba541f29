"""How long work says how far it is; a bar, if any, is drawn by who asked for the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

StageProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is, and of how much, if that is known."""
