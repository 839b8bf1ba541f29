"""Files written whole or not at all, and a full disk told as what it is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edge_reid.core.errors import TrainingError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space left, over quota, over the largest size a file may have."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes `path`'s place when all of it is on the disk, never before.

    A crash, an error or a power cut inside leaves what was at `path`.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the renaming to the disk, too, where the system lets folders be synced."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
