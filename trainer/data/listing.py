"""What lies in a data set's folder or CSV, before identities and cameras get numbers."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.errors import TrainingError
from edge_reid.core.foreign_text import shown
from edge_reid.vision.photo import PHOTO_SUFFIXES

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
"""Folders of Market-1501."""

_MARKET_NAME = re.compile(r"^(-1|\d+)_c(\d+)")
_JUNK, _DISTRACTOR = -1, 0
"""Identities of Market-1501 that are nobody's: boxes that count nowhere, and pictures that show
anybody and nobody who is looked for."""
_CAMERA = re.compile(r"cam(era)?[ _-]?[a-z0-9]{1,2}", re.IGNORECASE)
_LITTER = frozenset({"__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"})
"""What unpackers, network drives and file managers leave behind."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture, and what its folder and its name say about it."""

    path: Path
    identity: str | None
    """None for Market-1501's junk and distractors, which show nobody in particular."""
    camera: str | None
    is_distractor: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """All pictures of a data set."""

    pictures: tuple[Listed, ...]
    unused: tuple[Path, ...] = ()
    """Files of other kinds, folders without pictures or too deep, links to a picture listed."""


def list_folder(folder: Path) -> Listing:
    """A folder in Market-1501's layout, or with a folder per identity.

    Raises:
        TrainingError: it is in neither layout, or in both, or has cameras where people should be.
    """
    if (folder / TRAIN).is_dir():
        return list_market(pictures_in(folder / TRAIN), folder)
    if (folder / QUERY).is_dir() and (folder / GALLERY).is_dir():
        files = [*pictures_in(folder / QUERY), *pictures_in(folder / GALLERY)]
        return list_market(files, folder)
    people, files = _folders_and_files(folder)
    _refuse_cameras(people, folder)
    pictures = [path for path in files if _is_picture(path)]
    by_person = _list_people(people)
    if pictures and by_person.pictures:
        raise TrainingError(
            f"data {folder}: expected all pictures in folders of identities or none, got "
            f"{pictures[0].name} beside {by_person.pictures[0].path.parent}; move the pictures "
            "into the folders of whom they show"
        )
    listed = list_market(pictures, folder) if pictures else by_person
    beside = [path for path in files if not _is_picture(path)]
    return Listing(listed.pictures, (*beside, *by_person.unused))


def list_market(files: Iterable[Path], folder: Path) -> Listing:
    """Files named as in Market-1501; identity -1 is junk, 0 a distractor."""
    pictures = []
    for path in files:
        match = _MARKET_NAME.match(path.name)
        if match is None:
            raise TrainingError(
                f"data {folder}: expected names like 0002_c1s1_000451_03.jpg or a folder per "
                f"identity, got {path.name}"
            )
        number, camera = int(match[1]), str(int(match[2]))
        identity = None if number in {_JUNK, _DISTRACTOR} else str(number)
        pictures.append(Listed(path, identity, camera, is_distractor=number == _DISTRACTOR))
    return Listing(tuple(pictures))


def pictures_in(folder: Path) -> list[Path]:
    """The image files of a folder in the order of their names, without hidden ones."""
    return [path for path in _folders_and_files(folder)[1] if _is_picture(path)]


def without_links(listing: Listing, where: Path) -> Listing:
    """The listing with each file once, however many links name it.

    Raises:
        TrainingError: one file is listed as two identities.
    """
    first: dict[Path, Listed] = {}
    kept, repeated = [], []
    files = real_paths([picture.path for picture in listing.pictures])
    for picture, real in zip(listing.pictures, files, strict=True):
        before = first.setdefault(real, picture)
        if before is picture:
            kept.append(picture)
        elif before.identity == picture.identity:
            repeated.append(picture.path)
        else:
            raise TrainingError(
                f"data {where}: expected each picture to show one identity, got {picture.path} "
                f"and {before.path} to be the same file; remove the wrong one"
            )
    return Listing(tuple(kept), (*listing.unused, *repeated))


def real_paths(paths: Sequence[Path]) -> list[Path]:
    """The paths with links followed; each folder is looked up once."""
    real = {folder: folder.resolve() for folder in {path.parent for path in paths}}
    return [
        Path(os.path.realpath(p)) if p.is_symlink() else real[p.parent] / p.name for p in paths
    ]  # which, unlike `resolve`, leaves a link to itself for whoever reads it to complain of


def refuse_other_encodings(paths: Iterable[Path], where: str) -> None:
    """Raise TrainingError unless all names are text: hashes and reports are made of them.

    Old archives of Windows leave others on Linux, which has any bytes for a name.
    """
    for path in paths:
        name = str(path)
        if name.encode(errors="ignore").decode() != name:
            raise TrainingError(
                f"{where}: expected names in UTF-8, got {shown(name)}; rename it, or unpack it "
                "anew with the encoding that its archive has (unzip -O)"
            )


def spelled_twice(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names that differ only in case or in how accents are encoded.

    Windows and macOS hold them for one, so the same data set would differ between machines.
    """
    first: dict[str, str] = {}
    for name in sorted(set(names)):
        before = first.setdefault(_folded(name), name)
        if before != name:
            yield before, name


def _refuse_cameras(people: Sequence[Path], folder: Path) -> None:
    """Refuse folders named like cameras: VIPeR's cam_a and cam_b would pass for two people."""
    if people and all(_CAMERA.fullmatch(person.name) for person in people):
        raise TrainingError(
            f"data {folder}: expected a folder per identity, got a folder per camera "
            f"({', '.join(person.name for person in people)}); make it IDENTITY/CAMERA/*.jpg, or "
            "write a .csv of path,identity,camera"
        )


def _list_people(folders: Sequence[Path]) -> Listing:
    pictures: list[Listed] = []
    unused: list[Path] = []
    for person in folders:
        found, beside = _list_person(person)
        pictures += found
        unused += beside if found else [person]
    return Listing(tuple(pictures), tuple(unused))


def _list_person(person: Path) -> tuple[list[Listed], list[Path]]:
    cameras, files = _folders_and_files(person)
    found = [Listed(path, person.name, None) for path in files if _is_picture(path)]
    beside = [path for path in files if not _is_picture(path)]
    for camera in cameras:
        deeper, seen = _folders_and_files(camera)
        shots = [path for path in seen if _is_picture(path)]
        found += [Listed(path, person.name, camera.name) for path in shots]
        beside += [*deeper, *(path for path in seen if not _is_picture(path))]
    return found, beside


def _folders_and_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files below a folder by name, without hidden ones and litter."""
    there: dict[bool, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and path.name not in _LITTER:
            there[path.is_dir()].append(path)
    return there[True], there[False]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
