"""Pictures that nobody has labelled: where they lie, and how often each is drawn."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from edge_reid.core.files import UNREADABLE_ZIP
from edge_reid.vision.photo import MAX_BYTES, PHOTO_SUFFIXES
from trainer.data.datasets import NO_CAMERA, IntArray
from trainer.data.listing import refuse_other_encodings
from trainer.data.pictures import Unreadable, readable_paths
from trainer.recipe.recipe import Unlabelled

Weights: TypeAlias = npt.NDArray[np.float64]


UNLABELLED = -1
"""In place of a person's label."""


@dataclass(frozen=True, slots=True, eq=False)
class UnlabelledPictures:
    """N pictures of whoever they show.

    Attributes:
        paths: N image files.
        weights: (N,) float64, how often each is drawn against the others.
        cameras: (N,) int64, a number for each folder that is a camera, else `NO_CAMERA`.
        unreadable: files that cannot be read, which are left out.
    """

    paths: tuple[Path, ...]
    weights: Weights
    cameras: IntArray
    unreadable: tuple[Unreadable, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)


NONE_UNLABELLED = UnlabelledPictures((), np.zeros(0), np.zeros(0, np.int64))


def read_unlabelled(entries: Sequence[Unlabelled], unpacked: Path) -> UnlabelledPictures:
    """All pictures of the recipe's entries.

    Args:
        entries: of the recipe.
        unpacked: a folder for what comes in zips; what lies there already is not unpacked again.

    Raises:
        TrainingError: an entry has no pictures, or two have the same one.
    """
    paths: list[Path] = []
    weights: list[float] = []
    cameras: list[Path | None] = []
    unreadable: list[Unreadable] = []
    for entry in entries:
        found, bad = readable_paths(_pictures_of(entry, unpacked))
        if twice := set(found) & set(paths):
            raise TrainingError(
                f"unlabelled {entry.path}: expected every picture in one entry, got "
                f"{min(twice)} in two; leave it out of one of them"
            )
        paths += found
        weights += [entry.weight] * len(found)
        cameras += [path.parent if entry.folders_are == "cameras" else None for path in found]
        unreadable += bad
    return UnlabelledPictures(
        tuple(paths), np.array(weights), _numbered(cameras), tuple(unreadable)
    )


def _numbered(cameras: Sequence[Path | None]) -> IntArray:
    known = sorted({folder for folder in cameras if folder})
    number = {folder: rank for rank, folder in enumerate(known)}
    return np.array([number[each] if each else NO_CAMERA for each in cameras], np.int64)


def _pictures_of(entry: Unlabelled, unpacked: Path) -> list[Path]:
    folder = entry.path
    if zipfile.is_zipfile(entry.path):
        folder = _unpacked(entry.path, unpacked)
    elif not folder.is_dir():
        raise TrainingError(
            f"unlabelled {entry.path}: expected a folder or a .zip of pictures, got none there"
        )
    within = [folder / name for name in entry.folders] if entry.folders else [folder]
    if missing := [part for part in within if not part.is_dir()]:
        raise TrainingError(
            f"unlabelled {entry.path}: expected the folder {missing[0].name} in it, got none"
        )
    found = [path for part in within for path in _pictures_below(part)]
    if not found:
        raise TrainingError(
            f"unlabelled {entry.path}: expected pictures ({', '.join(sorted(PHOTO_SUFFIXES))}), "
            "got none; give the folder they lie in, however deep"
        )
    refuse_other_encodings(found, f"unlabelled {entry.path}")
    return found


def _pictures_below(folder: Path) -> list[Path]:
    """Pictures below a folder by name: the same order on every machine."""
    return sorted(
        Path(where) / name
        for where, folders, names in os.walk(folder)
        if _keep_visible(folders)
        for name in names
        if not name.startswith(".") and Path(name).suffix.lower() in PHOTO_SUFFIXES
    )


def _keep_visible(folders: list[str]) -> bool:
    """Leave hidden folders out of the walk; always true."""
    folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
    return True


def _unpacked(archive: Path, unpacked: Path) -> Path:
    """The pictures of a zip as files, made once for its name, size and time."""
    stat = archive.stat()
    key = f"{archive.name} {stat.st_size} {stat.st_mtime_ns}".encode()
    folder = unpacked / hashlib.sha256(key).hexdigest()[:12]
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        try:
            with zipfile.ZipFile(archive) as packed:
                pictures = [entry for entry in packed.infolist() if _is_picture(entry)]
                partial.mkdir(parents=True, exist_ok=True)  # there may be none
                packed.extractall(partial, pictures)
        except UNREADABLE_ZIP as error:
            raise TrainingError(
                f"unlabelled {archive}: expected a .zip that can be unpacked into {unpacked}, got "
                f"{type(error).__name__}: {error}; fetch it again, or make room there"
            ) from error
        partial.rename(folder)
    return folder


def _is_picture(member: zipfile.ZipInfo) -> bool:
    """Whether an entry of a zip is named like a picture and no larger than one may be."""
    return (
        PurePosixPath(member.filename).suffix.lower() in PHOTO_SUFFIXES
        and member.file_size <= MAX_BYTES
    )
