"""The pictures of a run: what is trained on, and the people kept aside to measure on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.data import datasets
from trainer.data.datasets import IntArray, PersonData
from trainer.data.environment_file import ENVIRONMENT, PicturesOfRun, read_environment
from trainer.data.held_out_photos import (
    HELD_OUT_PHOTOS,
    PHOTOS_HELD_OUT,
    draw_photos,
    photo_names,
    rows_named,
)
from trainer.data.pictures import Unreadable, readable_part
from trainer.data.unlabelled import NONE_UNLABELLED, UNLABELLED, UnlabelledPictures, read_unlabelled
from trainer.recipe.recipe import Recipe

CACHE = "cache"
"""In a run's folder: decoded pictures of people, which nothing needs when the run is done."""
HELD_OUT = "held-out"
"""What scores on people kept aside are called."""
MOST_HELD_OUT = 100
NOBODY_HELD_OUT = (
    "nobody is held out (too few people, or hold_out is 0), so it looks at the people trained on: "
    "it shows that training works, not how well"
)
_ENOUGH_TO_SPLIT = 12
"""Of fewer people photos are held out: two of ten, held out themselves, hardly tell how others
fare, and are not learnt. With photos held out a device named 44 of 60 unseen photos of ten people
after fine-tuning, else 39 (PKU-Reid), and 32 of 50, else 25 (CAVIAR4REID)."""
_SHOWN_IMAGES = 20
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True, eq=False)
class RunData:
    """The pictures of a run by what they are used for."""

    train: PersonData
    validation: PersonData
    held_out: bool
    """False when people are too few to keep any aside: validation then shows training people."""
    left_out: tuple[str, ...]
    """Identities with a single picture, which cannot be trained on."""
    unreadable: tuple[Unreadable, ...] = ()
    """Files that cannot be read, which are left out."""
    unused: tuple[Path, ...] = ()
    """Files and folders in the sources that are no pictures of an identity."""
    held_out_photos: tuple[str, ...] = ()
    """Photos of people trained on that are kept aside, by their path in the first source."""
    photo_queries: IntArray | None = None
    """Their rows in `validation`; None: whole people are held out, or nothing is."""
    unlabelled: UnlabelledPictures = NONE_UNLABELLED
    """What is learnt from a teacher alone."""

    @property
    def training_paths(self) -> tuple[Path, ...]:
        """All that is trained on: the labelled pictures, then the others."""
        return (*self.train.paths, *self.unlabelled.paths)

    @property
    def training_people(self) -> IntArray:
        """(N,) int64, the label of each training picture; `UNLABELLED` of those without."""
        return np.concatenate([self.train.labels, np.full(len(self.unlabelled), UNLABELLED)])

    @property
    def training_cameras(self) -> IntArray:
        """(N,) int64, the camera of each training picture; `NO_CAMERA` where nobody knows."""
        after = 1 + self.train.cameras.max(initial=datasets.NO_CAMERA)
        others = self.unlabelled.cameras
        unknown = others == datasets.NO_CAMERA
        others = np.where(unknown, datasets.NO_CAMERA, after + others)
        return np.concatenate([self.train.cameras, others])

    @property
    def held_out_names(self) -> tuple[str, ...]:
        """Identities of the first source that are kept aside; none where nobody is."""
        labels = np.unique(self.validation.labels) if self.held_out else ()
        return tuple(self.validation.identities[label] for label in labels)

    @property
    def validation_name(self) -> str:
        """What scores on the validation pictures are called."""
        if self.photo_queries is not None:
            return HELD_OUT_PHOTOS
        return HELD_OUT if self.held_out else "training-people"

    @property
    def caution(self) -> str:
        """What makes scores on the validation pictures say less than they seem to."""
        if self.held_out:
            return ""
        return NOBODY_HELD_OUT if self.photo_queries is None else PHOTOS_HELD_OUT

    def remarks(self) -> tuple[str, ...]:
        """What was left out, a line for each kind; `environment.json` names all."""
        kinds = {
            "unreadable": [file.reason for file in self.unreadable],
            "one picture only": self.left_out,
            "no pictures of an identity": [str(path) for path in self.unused],
        }
        return tuple(
            f"left out, {kind}: {len(found)}: {'; '.join(found[:_MOST_NAMED])}"
            + (" …" if len(found) > _MOST_NAMED else "")
            for kind, found in kinds.items()
            if found
        )

    def training_remark(self) -> str:
        """What a run learns from, in numbers."""
        people, without = len(self.train.identities), len(self.unlabelled)
        parts = [f"{people:,} people, {len(self.train):,} pictures"] if len(self.train) else []
        parts += [f"{without:,} pictures without labels"] if without else []
        return f"training: on {' and on '.join(parts)}"

    def validation_remark(self) -> str:
        """Who a run is measured on, and what that leaves open."""
        if self.held_out:
            people = len(np.unique(self.validation.labels))
            text = f"validation: on {people} people held out, {len(self.validation)} pictures"
        elif self.photo_queries is not None:
            text = f"validation: on {len(self.held_out_photos)} photos held out; {self.caution}"
        else:
            text = f"validation: {self.caution}"
        remark = self.validation.camera_remark()
        return f"{text}; {remark}" if remark else text


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a run has kept aside: identities of the first source, or photos of it."""

    people: tuple[str, ...]
    photos: tuple[str, ...]


def load_run_data(
    recipe: Recipe, noted: HeldOut | None = None, *, unpacked: Path | None = None
) -> RunData:
    """Read the recipe's sources and hold identities of the first one out, or photos of it.

    Args:
        recipe: says where, and how many are held out.
        noted: what a run has held out; None draws it by the recipe's seed.
        unpacked: where zips of unlabelled pictures are unpacked; None leaves the unlabelled out,
            which scores have no use for.
    """
    parts: list[PersonData] = []
    unreadable: list[Unreadable] = []
    unused: list[Path] = []
    for source in recipe.sources:
        whole = datasets.read_source(source.path)
        part, bad = readable_part(whole)
        if source.images_per_identity is not None:
            part = datasets.limit_images(part, source.images_per_identity, recipe.seed)
        parts.append(part)
        unreadable += bad
        unused += whole.unused
    datasets.check_apart(parts)
    kept = _keep_aside(parts[0], recipe, noted)
    names = [str(source.path) for source in recipe.sources]
    joined = datasets.join_sources([kept.rest, *parts[1:]], names)
    train, single = (
        (datasets.NOBODY, ()) if recipe.hold_out == "everybody" else datasets.trainable_part(joined)
    )
    unlabelled = read_unlabelled(recipe.unlabelled, unpacked) if unpacked else NONE_UNLABELLED
    unreadable += unlabelled.unreadable
    return RunData(
        train,
        kept.shown,
        kept.people,
        single,
        tuple(unreadable),
        tuple(unused),
        kept.photos,
        kept.queries,
        unlabelled,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _SplitSource:
    """The first source parted: what is trained on, and what validation looks at."""

    rest: PersonData
    shown: PersonData
    people: bool = False
    photos: tuple[str, ...] = ()
    queries: IntArray | None = None


def _keep_aside(first: PersonData, recipe: Recipe, noted: HeldOut | None) -> _SplitSource:
    if noted and noted.people:
        return _SplitSource(*datasets.hold_out_named(first, noted.people), people=True)
    if recipe.hold_out == "everybody":
        return _SplitSource(first.take(np.empty(0, np.int64)), first, people=True)
    count = 0 if noted else held_out_count(recipe, first)
    if count:
        return _SplitSource(*datasets.hold_out(first, count, recipe.hold_out_seed), people=True)
    source = recipe.sources[0].path
    rows = np.empty(0, np.int64)
    if noted:
        rows = rows_named(first, source, noted.photos)
    elif recipe.hold_out is None:
        rows = draw_photos(first, recipe.hold_out_seed)
    rest = first.take(np.setdiff1d(np.arange(len(first)), rows))
    shown = datasets.limit_images(rest, _SHOWN_IMAGES, recipe.seed)
    if not len(rows):
        return _SplitSource(rest, shown)
    aside = first.take(rows)
    both = PersonData(
        (*shown.paths, *aside.paths),
        np.concatenate([shown.labels, aside.labels]),
        np.concatenate([shown.cameras, aside.cameras]),
        first.identities,
    )
    queries = np.arange(len(shown), len(both))
    return _SplitSource(rest, both, photos=tuple(photo_names(aside.paths, source)), queries=queries)


def load_data_of(run: Path, recipe: Recipe) -> RunData:
    """The pictures of a run as they lie there now, with those people aside that it held out.

    People may have been added since. To draw again among all would hold others out, whom the
    network has learnt by heart.

    Raises:
        TrainingError: somebody it held out is gone; or its folder does not say who was, and the
            pictures are not those that it was trained on; or what it says is damaged.
    """
    environment = read_environment(run)
    began = environment.pictures if environment else None
    held_out = _held_out(began) if began else None
    # Only where nobody is labelled do exports need the others.
    unpacked = run / CACHE if recipe.hold_out == "everybody" else None
    data = load_run_data(recipe, held_out, unpacked=unpacked)
    if held_out is None and (began is None or began.sha256 != fingerprint(data)):
        raise TrainingError(
            f"run {run}: expected {ENVIRONMENT} there to say whom it held out, or the very "
            "pictures that it was trained on, got neither; put the data back, or train again"
        )
    return data


def _held_out(began: PicturesOfRun) -> HeldOut | None:
    """None: it does not say."""
    if began.held_out_identities is None:
        return None
    return HeldOut(began.held_out_identities, began.held_out_photos)


def fingerprint(data: RunData) -> str:
    """SHA-256 over folder, name and size of every picture, wherever the data set lies."""
    digest = hashlib.sha256()
    for part in (data.train.paths, data.validation.paths, data.unlabelled.paths):
        named = (f"{p.parent.name}/{p.name} {p.stat().st_size}\n" for p in part)
        digest.update("".join(sorted(named)).encode())
    return digest.hexdigest()


def held_out_count(recipe: Recipe, first: PersonData) -> int:
    """The recipe's number, else a fifth of the first source's people, at most 100."""
    if isinstance(recipe.hold_out, int):
        return recipe.hold_out
    _, images = np.unique(first.labels[first.labels >= 0], return_counts=True)
    people = int(np.sum(images >= datasets.FEWEST))
    return min(MOST_HELD_OUT, people // 5) if people >= _ENOUGH_TO_SPLIT else 0
