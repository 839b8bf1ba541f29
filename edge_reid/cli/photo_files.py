"""Which photo files are meant by what stands on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.errors import UsageError
from edge_reid.vision.photo import PHOTO_SUFFIXES, UNREAD_SUFFIXES


@dataclass(frozen=True, slots=True)
class PhotoFiles:
    """Photos, and what else lay in their folders."""

    photos: tuple[Path, ...]
    skipped: tuple[Path, ...]
    """Files and folders that are no photos; hidden ones are not mentioned."""


def photo_files(paths: Iterable[Path]) -> PhotoFiles:
    """Files as given, and the photos that lie in folders, sorted; each once.

    Raises:
        UsageError: a folder holds no photo.
    """
    photos: list[Path] = []
    skipped: list[Path] = []
    for path in paths:
        if not path.is_dir():
            photos.append(path)  # one that is missing is told when it is read
            continue
        inside = list(_visible(path))
        found = [each for each in inside if _is_photo(each)]
        if not found:
            raise UsageError(f"{path}: expected photos in this folder, got none{_hint(inside)}")
        photos += found
        skipped += [each for each in inside if not _is_photo(each)]
    return PhotoFiles(tuple(dict.fromkeys(photos)), tuple(skipped))


def people_folders(folder: Path) -> Mapping[str, Sequence[Path]]:
    """The folders in a folder, each a person's, by name.

    Raises:
        UsageError: there is none, or photos lie beside them.
    """
    inside = list(_visible(folder))
    people = {each.name: (each,) for each in inside if each.is_dir()}
    loose = [each for each in inside if _is_photo(each)]
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
        names = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from error
    return (each for each in names if not each.name.startswith("."))


def _is_photo(path: Path) -> bool:
    """By its name; also kinds that cannot be read, so that they are not left out unsaid."""
    return path.suffix.lower() in PHOTO_SUFFIXES | UNREAD_SUFFIXES and not path.is_dir()


def _hint(inside: Sequence[Path]) -> str:
    if any(each.is_dir() for each in inside):
        return "; with a folder for each person give it alone: edge-reid gallery enroll FOLDER"
    return ""
