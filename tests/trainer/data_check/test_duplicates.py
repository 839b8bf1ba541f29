"""Copies and near copies, on pictures that are noise: only copies are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.data.datasets import JUNK_IDENTITY, PersonData
from trainer.data_check.duplicates import NEARLY_SAME, Shared, find_duplicates
from trainer.data_check.scan import PictureScan

PIXELS = 288
PEOPLE = 40
EACH = 20
"""So that comparisons are made in more than one go."""


def seen(thumbnails: np.ndarray, labels: np.ndarray) -> PictureScan:
    """A scan that knows nothing but thumbnails; the hash is of the thumbnail."""
    count = len(labels)
    paths = tuple(Path(f"{n}.jpg") for n in range(count))
    names = tuple(map(str, range(labels.max() + 1)))
    return PictureScan(
        PersonData(paths, labels, np.full(count, -1), names),
        unreadable=(),
        sha256=tuple(thumbnail.tobytes().hex() for thumbnail in thumbnails),
        sizes_px=np.ones((count, 2), np.int64),
        thumbnails=thumbnails.astype(np.float32),
        qualities=np.ones(count, np.float32),
        embeddings=np.ones((count, 1), np.float32),
    )


@pytest.fixture
def noise() -> tuple[np.ndarray, np.ndarray]:
    """(800, 288) thumbnails of contrast 40, and the 40 people they are of."""
    rng = np.random.default_rng(0)
    thumbnails = rng.normal(128, 40, (PEOPLE * EACH, PIXELS)).clip(0, 255)
    return thumbnails.astype(np.float32), np.repeat(np.arange(PEOPLE), EACH)


def nudged(thumbnail: np.ndarray, part_of_contrast: float) -> np.ndarray:
    """Different by just so much."""
    signs = np.where(np.arange(PIXELS) % 2, 1.0, -1.0)
    return thumbnail + signs * part_of_contrast * thumbnail.std()


def test_different_pictures_are_no_duplicates(noise: tuple[np.ndarray, np.ndarray]) -> None:
    found = find_duplicates(seen(*noise))
    assert (found.copies, found.distinct.all(), found.shared) == (0, True, ())


def test_copies_of_one_identity_leave_one_distinct(noise: tuple[np.ndarray, np.ndarray]) -> None:
    thumbnails, labels = noise
    thumbnails[[3, 5]] = thumbnails[0]
    thumbnails[7] = nudged(thumbnails[0], 0.9 * NEARLY_SAME)
    thumbnails[8] = nudged(thumbnails[0], 1.2 * NEARLY_SAME)
    found = find_duplicates(seen(thumbnails, labels))
    assert found.copies == 2
    assert np.flatnonzero(~found.distinct).tolist() == [3, 5, 7]
    assert found.shared == ()


def test_a_walk_of_small_steps_is_not_one_picture(noise: tuple[np.ndarray, np.ndarray]) -> None:
    """Each frame is near the last one, but the sixth is far from the first."""
    thumbnails, labels = noise
    for step in range(1, 6):
        thumbnails[step] = nudged(thumbnails[0], 0.6 * NEARLY_SAME * step)
    found = find_duplicates(seen(thumbnails, labels))
    assert np.flatnonzero(~found.distinct).tolist() == [1, 3, 5]


def test_one_picture_under_two_identities(noise: tuple[np.ndarray, np.ndarray]) -> None:
    thumbnails, labels = noise
    thumbnails[700] = thumbnails[10]
    thumbnails[500] = nudged(thumbnails[20], 0.5 * NEARLY_SAME)
    found = find_duplicates(seen(thumbnails, labels))
    assert found.distinct.all()
    assert found.shared == (Shared(20, 500, exact=False), Shared(10, 700, exact=True))


def test_junk_belongs_to_nobody(noise: tuple[np.ndarray, np.ndarray]) -> None:
    thumbnails, labels = noise
    labels[700] = -1
    thumbnails[700] = thumbnails[10]
    assert find_duplicates(seen(thumbnails, labels)).shared == ()


def test_blank_pictures_are_all_the_same(noise: tuple[np.ndarray, np.ndarray]) -> None:
    thumbnails, labels = noise
    thumbnails[4] = 0.0
    thumbnails[9] = np.arange(PIXELS) % 2  # a flicker of one grey level
    assert np.flatnonzero(~find_duplicates(seen(thumbnails, labels)).distinct).tolist() == [9]


def test_repeated_pictures_of_nobody_are_no_copies(noise: tuple[np.ndarray, np.ndarray]) -> None:
    thumbnails, labels = noise
    labels = np.where(labels < 2, JUNK_IDENTITY, labels)
    thumbnails[[3, 5]] = thumbnails[0]
    found = find_duplicates(seen(thumbnails, labels))
    assert (found.copies, found.distinct.all()) == (0, True)
