"""A full disk under a run, explained."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_reid.core.errors import TrainingError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space left, over quota, over the largest size a file may have."""


@contextmanager
def full_disk_explained(run: Path) -> Iterator[None]:
    """Inside, a disk without room is a TrainingError that says what is kept and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        file = f" of {error.filename}" if error.filename else ""
        raise TrainingError(
            f"run {run}: expected room for its files, writing{file} failed: {error.strerror}; "
            f"the checkpoint before is kept: make room, then edge-reid train --resume {run}"
        ) from error
