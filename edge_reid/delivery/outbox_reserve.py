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
    """A file of zeros beside an outbox, taken while there is room."""

    def __init__(self, outbox: Path) -> None:
        self._path = outbox.with_name(outbox.name + SUFFIX)
        self.held_bytes = 0
        """0: none is held."""

    def take(self, size_bytes: int) -> bool:
        """Take so much room, with what is held already; returns whether it is held. Where there is
        not so much, none is held any more.
        """
        if self.held_bytes < size_bytes:
            if not allocate(self._path, size_bytes):
                self.release()
                return False
            self.held_bytes = size_bytes
        return True

    def release(self) -> None:
        """Give the room away."""
        self.held_bytes = 0
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
