"""A damaged SQLite file, with what belongs to it, out of the way of a new one."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

PARTS = ("", "-wal", "-shm")
"""The file, its log, and the index of the log: a log that stays behind is played into whatever file
comes to its path.
"""


def parts_of(path: Path, suffixes: Sequence[str] = PARTS) -> list[Path]:
    """Those parts of a file that are there."""
    parts = [path.with_name(path.name + suffix) for suffix in suffixes]
    return [part for part in parts if part.exists()]


def remove(path: Path) -> None:
    """Delete a file with all its parts.

    Raises:
        OSError: one of them stays.
    """
    for part in reversed(parts_of(path)):
        part.unlink(missing_ok=True)


def quarantine_file(path: Path, word: str) -> Path:
    """Rename a file and all its parts, so that a new one may take its path.

    Args:
        path: of the file.
        word: why, as in `outbox.db.damaged-20260301T120000.000000Z`.

    Returns:
        Where the file is now.

    Raises:
        OSError: it cannot be renamed.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    quarantined = path.with_name(f"{path.name}.{word}-{stamp}")
    for part in parts_of(path):
        part.rename(quarantined.with_name(quarantined.name + part.name[len(path.name) :]))
    return quarantined


def remove_quarantined(path: Path, word: str) -> None:
    """Overwrite and remove every file that was ever quarantined here for that reason.

    Raises:
        OSError: one of them stays.
    """
    for file in path.parent.glob(f"{glob.escape(path.name)}.{word}-*"):
        if file.is_file() and not file.is_symlink():
            _overwrite(file)
        file.unlink()


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
