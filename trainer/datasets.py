"""Data sets of person crops: who is on which picture, seen by which camera.

Two layouts are read: Market-1501 naming (`PPPP_cC[sS]_FFFFFF_..jpg`, all in one folder) and a
folder per identity, with or without a folder per camera inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError

IntArray = npt.NDArray[np.int64]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
NO_CAMERA = -1
JUNK_IDENTITY = -1
FEWEST = 2
"""Identities, and pictures of each, without which nothing can be compared."""
_MARKET_NAME = re.compile(r"^(-1|\d+)_c(\d+)")


@dataclass(frozen=True, slots=True, eq=False)
class PersonData:
    """Pictures of people.

    Attributes:
        paths: N image files.
        labels: (N,) int64, an index into `identities`, or -1 for Market-1501's junk boxes.
        cameras: (N,) int64, `NO_CAMERA` where the layout does not say.
        identities: C names, unique over all sources.
    """

    paths: tuple[Path, ...]
    labels: IntArray
    cameras: IntArray
    identities: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def has_cameras(self) -> bool:
        """True when the cross-camera rule of evaluation can be applied."""
        return bool(np.all(self.cameras != NO_CAMERA))

    def take(self, index: IntArray) -> PersonData:
        """The pictures at `index`, with the same identity table."""
        return PersonData(
            tuple(self.paths[i] for i in index),
            self.labels[index],
            self.cameras[index],
            self.identities,
        )


def read_source(folder: Path) -> PersonData:
    """Read one data set in either layout; a `bounding_box_train` sub-folder is entered."""
    if not folder.is_dir():
        raise TrainingError(f"data {folder}: expected a folder of person crops, found none there")
    if (folder / "bounding_box_train").is_dir():
        folder = folder / "bounding_box_train"
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    data = read_market(files, folder) if files else _read_folders(folder)
    if not len(data):
        raise TrainingError(
            f"data {folder}: no images; expected FOLDER/IDENTITY/*.jpg or Market-1501 file names"
        )
    return data


def read_market(files: Sequence[Path], folder: Path) -> PersonData:
    """Files named as in Market-1501; identity -1 is junk, 0 a distractor."""
    matches = [_MARKET_NAME.match(path.name) for path in files]
    for path, match in zip(files, matches, strict=True):
        if match is None:
            raise TrainingError(
                f"data {folder}: expected names like 0002_c1s1_000451_03.jpg or a folder per "
                f"identity, found {path.name}"
            )
    people = [int(m[1]) for m in matches if m]
    cameras = [int(m[2]) for m in matches if m]
    return _person_data(files, [str(p) for p in people], cameras, junk="-1")


def _read_folders(folder: Path) -> PersonData:
    files: list[Path] = []
    people: list[str] = []
    cameras: list[int] = []
    for person in sorted(p for p in folder.iterdir() if p.is_dir()):
        camera_folders = sorted(p for p in person.iterdir() if p.is_dir())
        for camera, place in [(NO_CAMERA, person), *enumerate(camera_folders)]:
            found = sorted(p for p in place.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            files += found
            people += [person.name] * len(found)
            cameras += [camera] * len(found)
    return _person_data(files, people, cameras)


def _person_data(
    files: Sequence[Path], people: Sequence[str], cameras: Sequence[int], junk: str | None = None
) -> PersonData:
    names = tuple(sorted(set(people) - {junk}))
    number = {name: index for index, name in enumerate(names)}
    labels = np.array([number.get(p, JUNK_IDENTITY) for p in people], np.int64)
    return PersonData(tuple(files), labels, np.array(cameras, np.int64), names)


def join_sources(sources: Sequence[PersonData], names: Sequence[str]) -> PersonData:
    """Several data sets as one; their identities are taken to be different people."""
    offsets = np.cumsum([0, *(len(s.identities) for s in sources)])
    return PersonData(
        tuple(path for s in sources for path in s.paths),
        np.concatenate(
            [
                np.where(s.labels < 0, s.labels, s.labels + offset)
                for s, offset in zip(sources, offsets[:-1], strict=True)
            ]
        ),
        np.concatenate([s.cameras for s in sources]),
        tuple(f"{n}/{i}" for n, s in zip(names, sources, strict=True) for i in s.identities),
    )


def limit_images(data: PersonData, limit: int, seed: int) -> PersonData:
    """At most `limit` pictures of each identity, drawn at random."""
    rng = np.random.default_rng(seed)
    kept = [
        rng.permutation(np.flatnonzero(data.labels == label))[:limit]
        for label in np.unique(data.labels)
    ]
    return data.take(np.sort(np.concatenate(kept)))


def hold_out(data: PersonData, identities: int, seed: int) -> tuple[PersonData, PersonData]:
    """Split whole identities off: (the rest, the held-out), both with the same identity table."""
    people = np.unique(data.labels[data.labels >= 0])
    if identities >= len(people):
        raise TrainingError(
            f"expected more than {identities} identities so that {identities} can be held out, "
            f"found {len(people)}; add people or hold out fewer"
        )
    held = np.random.default_rng(seed).permutation(people)[:identities]
    mask = np.isin(data.labels, held)
    return data.take(np.flatnonzero(~mask)), data.take(np.flatnonzero(mask))


def query_gallery(data: PersonData, seed: int) -> tuple[IntArray, IntArray]:
    """Indices (queries, gallery): one query per identity and camera, as in Market-1501.

    Without cameras one picture of each identity is the query.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    keys = np.stack([data.labels[order], data.cameras[order]], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)
    queries = np.sort(order[first])
    gallery = np.setdiff1d(np.arange(len(data)), queries)
    return queries, gallery


def trainable_part(data: PersonData) -> tuple[PersonData, tuple[str, ...]]:
    """Identities of at least two pictures, renumbered from 0 without gaps; junk removed.

    Also returns the names of the identities left out because they have one picture.
    """
    labels, counts = np.unique(data.labels, return_counts=True)
    usable = labels[(counts >= FEWEST) & (labels >= 0)]
    if len(usable) < FEWEST:
        raise TrainingError(
            f"expected at least {FEWEST} identities with at least {FEWEST} images each, found "
            f"{len(usable)}; "
            "metric learning compares people: add folders"
        )
    kept = data.take(np.flatnonzero(np.isin(data.labels, usable)))
    single = tuple(data.identities[i] for i in labels[(counts < FEWEST) & (labels >= 0)])
    renumbered = PersonData(
        kept.paths,
        np.searchsorted(usable, kept.labels).astype(np.int64),
        kept.cameras,
        tuple(data.identities[i] for i in usable),
    )
    return renumbered, single
