"""What an agent may be told to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_reid.core.config.section import Section

CommandName = Literal["snapshot", "reload", "sync-now", "set-threshold", "not-this-person"]


class CommandSettings(Section):
    """Commands that the agent takes over MQTT."""

    allow: tuple[CommandName, ...] = ()
    """Commands that are carried out. With none the agent does not subscribe to commands."""
    max_age_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """A command is refused if it was issued longer ago than this, or this far in the future."""
    threshold_min: Annotated[float, Field(gt=-1, lt=1)] = 0.5
    """Lowest threshold that `set-threshold` may set."""
    threshold_max: Annotated[float, Field(gt=-1, lt=1)] = 0.95
    """Highest threshold that `set-threshold` may set."""
    snapshot_dir: Path | None = None
    """Folder for the pictures of `snapshot`, which needs it; they do not leave the device."""
    snapshot_max_files: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Beyond it the oldest pictures are deleted."""
    snapshot_max_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Size of all pictures; beyond it the oldest are deleted."""

    def _mistakes(self) -> Iterator[str]:
        if "snapshot" in self.allow and self.snapshot_dir is None:
            yield "snapshot_dir: is missing; snapshot needs a folder for its pictures"
        if self.threshold_min >= self.threshold_max:
            yield "threshold_min: should be less than threshold_max"
