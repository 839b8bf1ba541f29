"""Photos kept aside of people who are trained on, where they are too few to keep people aside."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from edge_reid.core.errors import TrainingError
from trainer.data.datasets import FEWEST, IntArray, PersonData

HELD_OUT_PHOTOS = "held-out-photos"
"""What scores on photos kept aside are called."""
PHOTOS_HELD_OUT = (
    "too few people to hold any out, so photos of the people trained on are: it shows how well "
    "these very people are found again, not others"
)
_SHARE = 5
"""One photo in so many of each person is kept aside."""
_MOST_A_PERSON = 10


def draw_photos(data: PersonData, seed: int) -> IntArray:
    """Rows of a fifth of each person's photos, one at least and ten at most, drawn at random.

    Two photos stay with everybody. Where the cross-camera rule holds, photos are those of people
    seen by two cameras, for the others could not be found again. Empty where nobody has so many.
    """
    rng = np.random.default_rng(seed)
    rows: list[int] = []
    for label in np.unique(data.labels[data.labels >= 0]):
        own = rng.permutation(np.flatnonzero(data.labels == label))
        views = len(np.unique(data.cameras[own]))
        if len(own) > FEWEST and (views > 1 or not data.has_cameras):
            rows += own[: min(max(1, len(own) // _SHARE), _MOST_A_PERSON)].tolist()
    return np.array(sorted(rows), np.int64)


def photo_names(paths: Sequence[Path], source: Path) -> list[str]:
    """Paths relative to the data set, which may be moved later."""
    start = source if source.is_dir() else source.parent
    return [Path(os.path.relpath(path, start)).as_posix() for path in paths]


def rows_named(data: PersonData, source: Path, names: Collection[str]) -> IntArray:
    """Rows of the photos of these names.

    Raises:
        TrainingError: some of them are not there.
    """
    there = photo_names(data.paths, source)
    if missing := sorted(set(names) - set(there)):
        raise TrainingError(
            f"data {source}: expected the {len(names)} photos that the run held out, "
            f"{len(missing)} of them are not there any more, the first is {missing[0]}; put them "
            "back"
        )
    return np.flatnonzero(np.isin(np.array(there), list(names)))
