"""Photo files, from the files and folders that a command line names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from edge_reid.cli.boxes_picture import is_boxes_picture
from edge_reid.core.errors import UsageError
from edge_reid.vision.photo import PHOTO_SUFFIXES, UNREAD_SUFFIXES

_NUMBERED = "a picture of numbered boxes by its name"


@dataclass(frozen=True, slots=True)
class PhotoFiles:
    """Photos, and what else is in their folders."""

    photos: tuple[Path, ...]
    skipped: tuple[Path, ...]
    """Files and folders that are no photos, without hidden ones."""


def photo_files(paths: Iterable[Path]) -> PhotoFiles:
    """Files as given, and the photos in folders, sorted; each file once, and no pictures of ours.

    Raises:
        UsageError: a folder holds no photo, or cannot be read; or only pictures of ours are given.
    """
    photos: list[Path] = []
    skipped: list[Path] = []
    for path in paths:
        if not path.is_dir():  # reading it says whether it is missing
            (skipped if is_boxes_picture(path) else photos).append(path)
            continue
        inside = list(_visible(path))
        photos_inside = [file for file in inside if _is_photo(file)]
        if not photos_inside:
            raise UsageError(f"{path}: expected photos in this folder, got none{_hint(inside)}")
        photos += photos_inside
        skipped += [file for file in inside if not _is_photo(file)]
    if skipped and not photos:
        raise UsageError(
            f"{skipped[0]}: expected a photo, got {_NUMBERED}; give the photo that it was made of"
        )
    return PhotoFiles(tuple(dict.fromkeys(photos)), tuple(skipped))


def photos_of_one(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Photos of one person, of files and folders; which pictures of ours they hold is said.

    Raises:
        UsageError: as `photo_files`.
    """
    files = photo_files(paths)
    for path in filter(is_boxes_picture, files.skipped):
        typer.echo(skipping(path), err=True)
    return files.photos


def skipping(path: Path) -> str:
    """That a file of `PhotoFiles.skipped` is, and why."""
    return f"{path}: skipped, {_NUMBERED if is_boxes_picture(path) else 'no photo'}"


def people_folders(folder: Path) -> Mapping[str, Sequence[Path]]:
    """The folder of each person in a folder, by name.

    Raises:
        UsageError: there is none, or there are photos beside them.
    """
    inside = list(_visible(folder))
    people = {path.name: (path,) for path in inside if path.is_dir()}
    loose = [path for path in inside if _is_photo(path)]
    if loose and people:
        raise UsageError(
            f"{folder}: expected a folder for each person, got photos beside them: "
            f"{loose[0].name}; move them into the folder of whom they show"
        )
    if not people:
        wanted = f"; a person's own photos: edge-reid gallery enroll NAME {folder}" if loose else ""
        raise UsageError(f"{folder}: expected a folder for each person, got none{wanted}")
    return people


def _visible(folder: Path) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from error
    return (path for path in paths if not path.name.startswith("."))


def _is_photo(path: Path) -> bool:
    """Whether the name is that of a picture; also of kinds that are refused when they are read."""
    is_picture = path.suffix.lower() in PHOTO_SUFFIXES | UNREAD_SUFFIXES
    return is_picture and not is_boxes_picture(path) and not path.is_dir()


def _hint(inside: Sequence[Path]) -> str:
    if any(path.is_dir() for path in inside):
        return "; with a folder for each person give it alone: edge-reid gallery enroll FOLDER"
    return ""
