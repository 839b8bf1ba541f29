"""Whether picture files can be read, found out before anything depends on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_reid.core.errors import PhotoError, TrainingError
from edge_reid.vision.photo import MAX_BYTES, MAX_PIXELS, read_photo
from edge_reid.vision.picture_header import declared_size_px, has_true_checksums, is_complete
from trainer.data.datasets import PersonData
from trainer.files.progress_bars import bar

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that should be a picture, and what is wrong with it."""

    path: Path
    reason: str
    """One line that names the file."""


def check_picture(path: Path) -> None:
    """Raise PhotoError unless `read_photo` can be expected to read the file.

    A JPEG or PNG that declares a sane size, has its end and true checksums is believed: 25 µs a
    crop instead of 180. Whatever is in doubt is decoded.

    Raises:
        PhotoError: it cannot be read; in the words of the device's own reader.
    """
    if not _looks_sound(path):
        read_photo(path)


def readable_part(data: PersonData) -> tuple[PersonData, tuple[Unreadable, ...]]:
    """The data without the files that cannot be read, and those with the reasons.

    Raises:
        TrainingError: none can be read.
    """
    faults = [_fault(path) for path in bar(data.paths, "checking pictures")]
    bad = tuple(fault for fault in faults if fault)
    if len(bad) == len(data):
        raise TrainingError(f"data: expected readable pictures, got none; {bad[0].reason}")
    return data.take(np.flatnonzero([fault is None for fault in faults])), bad


def readable_paths(paths: Sequence[Path]) -> tuple[list[Path], list[Unreadable]]:
    """The files that can be read, and the others with the reasons."""
    faults = [_fault(path) for path in bar(paths, "checking pictures")]
    sound = [path for path, fault in zip(paths, faults, strict=True) if fault is None]
    return sound, [fault for fault in faults if fault]


def refuse_unreadable(paths: Sequence[Path]) -> None:
    """Raise TrainingError unless all files can be read: scores leave no picture out.

    Raises:
        TrainingError: some cannot be; the first of them are named.
    """
    faults = [fault for path in bar(paths, "checking pictures") if (fault := _fault(path))]
    if faults:
        named = "; ".join(fault.reason for fault in faults[:_MOST_NAMED])
        raise TrainingError(
            f"data: expected {len(paths)} readable pictures, got {len(faults)} that are not: "
            f"{named}{' …' if len(faults) > _MOST_NAMED else ''}"
        )


def _fault(path: Path) -> Unreadable | None:
    try:
        check_picture(path)
    except PhotoError as error:
        return Unreadable(path, str(error))
    return None


def _looks_sound(path: Path) -> bool:
    try:
        if path.stat().st_size > MAX_BYTES:
            return False
        data = path.read_bytes()
    except OSError:
        return False
    width, height = declared_size_px(data) or (0, 0)
    whole = is_complete(data) and has_true_checksums(data)
    return 0 < width * height <= MAX_PIXELS and whole
