"""A full disk under a run, explained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_reid.core.errors import TrainingError
from edge_reid.core.files import FULL_DISK


@contextmanager
def full_disk_explained(run: Path) -> Iterator[None]:
    """Inside, a disk without room is a TrainingError that says what is kept and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        file = f" of {error.filename}" if error.filename else ""
        raise TrainingError(
            f"run {run}: expected room for its files, writing{file} failed: {error.strerror}; "
            f"the checkpoint before is kept: make room, then edge-reid train --resume {run}"
        ) from error
