"""Data sets of person crops: who is on which picture, seen by which camera.

Read are Market-1501's layout (`PPPP_cC[sS]_FFFFFF_..jpg`), a folder per identity, with or without
a folder per camera inside, and a CSV of `path,identity[,camera]`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.data.csv_source import list_csv
from trainer.data.listing import (
    Listed,
    Listing,
    list_folder,
    list_market,
    real_paths,
    refuse_other_encodings,
    spelled_twice,
    without_links,
)

IntArray = npt.NDArray[np.int64]

NO_CAMERA = -1
JUNK_IDENTITY = -1
DISTRACTOR_IDENTITY = -2
LABELS = "labels.csv"
"""File of labels in the folder of a data set."""
FEWEST = 2
"""Identities, and pictures of each, without which nothing can be compared."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
"""One that leaves room for the cameras of other sources; a longer one is a serial number."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonData:
    """Pictures of people.

    Attributes:
        paths: N image files.
        labels: (N,) int64, an index into `identities`, or below 0 for what is nobody's in
            Market-1501: -1 for junk boxes, which count nowhere, -2 for distractors, which lie in
            the gallery and are no match of anybody.
        cameras: (N,) int64, `NO_CAMERA` where the layout does not say; within one source the same
            number is the same camera.
        identities: C names, unique over all sources.
        unused: what `read_source` found beside the pictures and did not use.
    """

    paths: tuple[Path, ...]
    labels: IntArray
    cameras: IntArray
    identities: tuple[str, ...]
    unused: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def has_cameras(self) -> bool:
        """Whether the cross-camera rule of evaluation can be applied.

        Cameras are known, and somebody was seen by two of them.
        """
        if not np.all(self.cameras != NO_CAMERA):
            return False
        known = self.labels >= 0
        views = np.unique(np.stack([self.labels[known], self.cameras[known]]), axis=1)
        return bool(len(np.unique(views[0])) < views.shape[1])

    def camera_remark(self) -> str:
        """Why the cross-camera rule is left out; empty where it is not."""
        if self.has_cameras:
            return ""
        known = np.all(self.cameras != NO_CAMERA)
        why = "nobody was seen by two cameras" if known else "no camera ids"
        return f"{why}: the cross-camera rule is left out, expect kinder numbers"

    def name_of(self, label: int) -> str:
        """The identity of a label, or what else a picture with it is."""
        if label >= 0:
            return self.identities[label]
        return "junk" if label == JUNK_IDENTITY else "distractor"

    def take(self, index: IntArray) -> PersonData:
        """The pictures at `index`, with the same identity table."""
        return PersonData(
            tuple(self.paths[i] for i in index),
            self.labels[index],
            self.cameras[index],
            self.identities,
        )


NOBODY = PersonData((), np.empty(0, np.int64), np.empty(0, np.int64), ())
"""No pictures, of no people."""


def set_name(source: Path) -> str:
    """What a data set is called: as its folder or file is, but `pku_reid/labels.csv` is `pku_reid`,
    since `labels.csv` says nothing.
    """
    named = source.parent if source.name == LABELS else source
    return (named.resolve() if named.name in {"", ".."} else named).name


def read_source(source: Path) -> PersonData:
    """Read one data set: a folder in either layout, or a CSV.

    Of Market-1501's whole folder the training part is read; a folder that holds only `query` and
    `bounding_box_test` is read as both together.

    Raises:
        TrainingError: there is no data set, or its identities contradict each other.
        ConfigError: a CSV has mistakes; all of them are listed.
    """
    if source.is_file() and source.suffix.lower() == ".csv":
        listing = list_csv(source)
    elif source.is_dir():
        listing = list_folder(source)
    else:
        raise TrainingError(
            f"data {source}: expected a folder of person crops or a .csv, got none there"
        )
    if not listing.pictures:
        raise TrainingError(
            f"data {source}: no images; expected FOLDER/IDENTITY/*.jpg, Market-1501 file names or "
            "a .csv of path,identity"
        )
    found = (*(picture.path for picture in listing.pictures), *listing.unused)
    refuse_other_encodings(found, f"data {source}")
    _check_spelling(listing, source)
    return _numbered(without_links(listing, source))


def read_market(files: Sequence[Path], folder: Path) -> PersonData:
    """Files named as in Market-1501; identity -1 is junk, 0 a distractor."""
    return _numbered(list_market(files, folder))


def _check_spelling(listing: Listing, source: Path) -> None:
    for what, names in (
        ("identities", {p.identity for p in listing.pictures}),
        ("cameras", {p.camera for p in listing.pictures}),
    ):
        pairs = [f"{a!r} and {b!r}" for a, b in spelled_twice(n for n in names if n is not None)]
        if pairs:
            raise TrainingError(
                f"data {source}: expected {what} to differ in more than upper and lower case, "
                f"which Windows and macOS take for one: {'; '.join(pairs)}; rename or merge them"
            )


def _numbered(listing: Listing) -> PersonData:
    people = [picture.identity for picture in listing.pictures]
    cameras = [picture.camera for picture in listing.pictures]
    names = tuple(sorted({person for person in people if person is not None}))
    number = {name: index for index, name in enumerate(names)}
    labels = [_label(picture, number) for picture in listing.pictures]
    return PersonData(
        tuple(picture.path for picture in listing.pictures),
        np.array(labels, np.int64),
        _camera_numbers(cameras),
        names,
        listing.unused,
    )


def _label(picture: Listed, number: dict[str, int]) -> int:
    if picture.identity is not None:
        return number[picture.identity]
    return DISTRACTOR_IDENTITY if picture.is_distractor else JUNK_IDENTITY


def _camera_numbers(names: Sequence[str | None]) -> IntArray:
    """Camera numbers (N,): the names themselves where all are numbers, else their rank by name."""
    known = sorted({name for name in names if name is not None})
    are_numbers = all(_NUMBER.fullmatch(name) for name in known)
    number = {name: int(name) if are_numbers else index for index, name in enumerate(known)}
    return np.array([NO_CAMERA if n is None else number[n] for n in names], np.int64)


def check_apart(sources: Sequence[PersonData]) -> None:
    """Refuse sources that share a file, for sources are taken to show different people.

    Raises:
        TrainingError: one is; the people of a source would be impostors of themselves.
    """
    first: dict[Path, tuple[int, Path]] = {}
    for index, source in enumerate(sources):
        for path, real in zip(source.paths, real_paths(source.paths), strict=True):
            owner, before = first.setdefault(real, (index, path))
            if owner != index:
                raise TrainingError(
                    f"data: expected sources of different people, got {path} in two of them "
                    f"(also as {before}); leave one of them out"
                )


def join_sources(sources: Sequence[PersonData], names: Sequence[str]) -> PersonData:
    """Several data sets as one; their identities are taken to be different people.

    So are their cameras: those of all but the first get other numbers.
    """
    offsets = np.cumsum([0, *(len(s.identities) for s in sources)])
    cameras = np.cumsum([0, *(1 + s.cameras.max(initial=NO_CAMERA) for s in sources)])
    return PersonData(
        tuple(path for s in sources for path in s.paths),
        np.concatenate(
            [
                np.where(s.labels < 0, s.labels, s.labels + offset)
                for s, offset in zip(sources, offsets[:-1], strict=True)
            ]
        ),
        np.concatenate(
            [
                np.where(s.cameras == NO_CAMERA, NO_CAMERA, s.cameras + offset)
                for s, offset in zip(sources, cameras[:-1], strict=True)
            ]
        ),
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
    """Draw identities at random and split them off: (the rest, the held-out)."""
    labels, counts = np.unique(data.labels, return_counts=True)
    people = labels[(counts >= FEWEST) & (labels >= 0)]
    if identities >= len(people):
        raise TrainingError(
            f"expected more than {identities} identities of {FEWEST} images or more, so that "
            f"{identities} can be held out, got {len(people)}; add people or hold out fewer"
        )
    return _split_off(data, np.random.default_rng(seed).permutation(people)[:identities])


def hold_out_named(data: PersonData, names: Sequence[str]) -> tuple[PersonData, PersonData]:
    """Split off the identities of these names: (the rest, the held-out).

    Raises:
        TrainingError: some of them are not there.
    """
    label = {name: number for number, name in enumerate(data.identities)}
    if missing := [name for name in names if name not in label]:
        raise TrainingError(
            f"data: expected the {len(names)} identities that the run held out, {len(missing)} of "
            f"them are not there any more, the first is {missing[0]}; put their pictures back"
        )
    return _split_off(data, np.array([label[name] for name in names], np.int64))


def _split_off(data: PersonData, labels: IntArray) -> tuple[PersonData, PersonData]:
    """Pictures without and with these labels, both with the same identity table."""
    mask = np.isin(data.labels, labels)
    return data.take(np.flatnonzero(~mask)), data.take(np.flatnonzero(mask))


def query_gallery(data: PersonData, seed: int) -> tuple[IntArray, IntArray]:
    """Indices (queries, gallery): one query per identity and camera, as in Market-1501.

    Without cameras one picture of each identity is the query. Where every camera has a single
    picture of somebody (VIPeR, PRID), the first camera's is, and the others are to be found.
    Junk, distractors, and whoever has one picture in all, are never looked for.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    keys = np.stack([data.labels[order], data.cameras[order]], axis=1)
    views, first, shots = np.unique(keys, axis=0, return_index=True, return_counts=True)
    _, start, cameras = np.unique(views[:, 0], return_index=True, return_counts=True)
    # Views are sorted, so a person's first one is that of the lowest camera.
    single_shot = np.maximum.reduceat(shots, start) == 1
    asked = ~np.repeat(single_shot, cameras)
    asked[start[single_shot & (cameras > 1)]] = True
    asked &= views[:, 0] >= 0
    queries = np.sort(order[first[asked]])
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
            f"expected at least {FEWEST} identities with at least {FEWEST} images each, got "
            f"{len(usable)} of {len(data.identities)}, {len(data)} images in all; "
            "metric learning compares people: add some, each with several pictures"
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
