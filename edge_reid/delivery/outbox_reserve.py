"""Room that an outbox keeps for the day when its disk is full.

Taking an event out of a full outbox needs room first: for the log, and for what the log still has
to bring into the file. Without a reserve an outbox that has filled its disk could never be emptied.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SUFFIX = "-reserve"


class Reserve:
    """A file of `size_bytes` zeros beside an outbox, taken while there is room."""

    def __init__(self, outbox: Path, size_bytes: int) -> None:
        self._path = outbox.with_name(outbox.name + SUFFIX)
        self._size_bytes = size_bytes
        self.is_held = False

    def take(self, size_bytes: int | None = None) -> bool:
        """Take the room, or so much of it; returns whether it is held."""
        if not self.is_held:
            self.is_held = allocate(self._path, size_bytes or self._size_bytes)
            if not self.is_held:
                self.release()
        return self.is_held

    def release(self) -> None:
        """Give the room away."""
        self.is_held = False
        with suppress(OSError):
            self._path.unlink()


def allocate(path: Path, size_bytes: int) -> bool:
    """Have a file be so long at least, with room on the disk for all of it; False: there is none.

    What is in it stays.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        _allocate(file, size_bytes)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def _allocate(file: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size_bytes)
        return
    missing = size_bytes - os.fstat(file).st_size  # macOS
    if missing > 0:
        os.pwrite(file, b"\0" * missing, size_bytes - missing)
        os.fsync(file)
