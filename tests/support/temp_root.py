"""Where tests keep their files: in memory, if there is such a place with enough room.

Most of what tests wait for on a disk is `fsync`: 7 ms each on the machine this was measured on, and
every event, template and head asks for some. A killed process loses no more in memory than on disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 << 30
"""Several times of what all tests leave behind at their fullest."""


def choose_temp_root(memory: Path = MEMORY) -> None:
    """Tell pytest of the place in memory, unless somebody has chosen another."""
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and is_fit(memory):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(memory)


def is_fit(memory: Path = MEMORY) -> bool:
    """Writable, roomy, and programs may run from there: containers often forbid it."""
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        return False
    runs_programs = not os.statvfs(memory).f_flag & os.ST_NOEXEC
    return runs_programs and shutil.disk_usage(memory).free >= ROOM_BYTES
