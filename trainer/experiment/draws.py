"""What one trial works on: a few people drawn at random, and their images cut into two parts.

An image here is a picture or a changed copy of one, named by (picture, copy); copy 0 is the
picture as it was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.errors import TrainingError
from trainer.data.datasets import IntArray, PersonData

Cut: TypeAlias = Literal["camera", "sequence", "random"]
"""How test images are kept apart from training images.

camera: they are pictures under cameras which the training part has not, as taken.
sequence: where cameras are not known, the last pictures of each person by file name, as taken.
random: drawn from all images, changed copies included, so that copies of one picture lie on both
    sides.
"""
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Image: TypeAlias = tuple[int, int]
"""(picture, copy): an index into the data, and 0 for the picture as taken."""

_TEST_PART = 0.2
_FEWEST_PICTURES = 4
"""Of a person who may be drawn: fewer cannot be cut in a way that means something."""


@dataclass(frozen=True, slots=True)
class DrawnPerson:
    """One drawn person's images."""

    label: int
    train: tuple[Image, ...]
    test: tuple[Image, ...]


def drawable(data: PersonData, people: int) -> IntArray:
    """Labels of everybody who may be drawn: enough pictures and, if known, two cameras.

    Raises:
        TrainingError: there are fewer than `people` of them.
    """
    fit = [
        label
        for label in np.unique(data.labels[data.labels >= 0])
        if np.sum(data.labels == label) >= _FEWEST_PICTURES
        and (not data.has_cameras or len(np.unique(data.cameras[data.labels == label])) > 1)
    ]
    if len(fit) < people:
        cameras = " under two cameras" if data.has_cameras else ""
        raise TrainingError(
            f"experiment: expected at least {people} people with {_FEWEST_PICTURES} pictures each"
            f"{cameras}, got {len(fit)} of {len(data.identities)}; add pictures, or draw fewer "
            "with --people"
        )
    return np.array(fit, np.int64)


def strict_cut(data: PersonData) -> Cut:
    """The cut that keeps frames of one sequence together, as far as the data tells."""
    return "camera" if data.has_cameras else "sequence"


def cut_person(
    data: PersonData, label: int, cut: Cut, images: int, rng: np.random.Generator
) -> DrawnPerson:
    """About `images` images of a person, a fifth of them to test on where there are as many.

    The training part is filled up with changed copies. So is the random cut's test part; the
    stricter ones test on pictures as taken.
    """
    pictures = np.flatnonzero(data.labels == label)
    if cut == "random":
        drawn = _with_copies(pictures, images, rng)
        mixed = [drawn[i] for i in rng.permutation(len(drawn))]
        tested = round(_TEST_PART * len(mixed))
        return DrawnPerson(label, tuple(mixed[tested:]), tuple(mixed[:tested]))
    apart = _unseen_cameras(data.cameras[pictures], rng) if cut == "camera" else _end_of(pictures)
    test = tuple((int(p), 0) for p in pictures[apart])
    train = _with_copies(pictures[~apart], max(images - len(test), 1), rng)
    return DrawnPerson(label, tuple(train), test)


def _with_copies(pictures: IntArray, images: int, rng: np.random.Generator) -> list[Image]:
    """Every picture as taken, then copy after copy of all in random order, `images` of them.

    With more pictures than images, as many pictures drawn at random.
    """
    rounds = -(-images // len(pictures))
    order = rng.permutation(pictures).tolist()
    return [(picture, copy) for copy, picture in product(range(rounds), order)][:images]


def _unseen_cameras(cameras: IntArray, rng: np.random.Generator) -> BoolArray:
    """Which pictures to test on: those of whole cameras, about a fifth of all."""
    order = rng.permutation(np.unique(cameras))
    chosen = order[:1]
    for count in range(2, len(order)):
        if np.isin(cameras, order[:count]).mean() > _TEST_PART:
            break
        chosen = order[:count]
    return np.isin(cameras, chosen)


def _end_of(pictures: IntArray) -> BoolArray:
    """Which pictures to test on: the last fifth, at least one; names usually count frames."""
    tested = max(1, round(_TEST_PART * len(pictures)))
    return np.arange(len(pictures)) >= len(pictures) - tested
