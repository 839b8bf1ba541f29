"""P×K batches: what metric learning relies on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.augment import AugmentConfig, augment
from trainer.quantize import stratified
from trainer.sampler import batches_per_epoch, pk_batches


def batches(labels: np.ndarray, seed: int = 1, epoch: int = 0) -> list[np.ndarray]:
    return list(pk_batches(labels, identities=3, images=4, seed=seed, epoch=epoch))


@given(counts=st.lists(st.integers(1, 30), min_size=3, max_size=12), seed=st.integers(0, 99))
def test_a_batch_holds_p_people_and_k_pictures_of_each(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    for batch in batches(labels, seed):
        _, images = np.unique(labels[batch], return_counts=True)
        assert images.tolist() == [4, 4, 4]


def test_an_epoch_shows_nearly_every_picture() -> None:
    labels = np.repeat(np.arange(50), 11)
    made = batches(labels)
    assert len(np.unique(np.concatenate(made))) > 0.95 * len(labels)
    assert abs(len(made) - batches_per_epoch(labels, identities=3, images=4)) <= 2


def test_the_seed_and_the_epoch_fix_the_order() -> None:
    labels = np.repeat(np.arange(9), 8)
    assert np.array_equal(batches(labels), batches(labels))
    assert not np.array_equal(batches(labels, epoch=0), batches(labels, epoch=1))


def test_augmentation_is_fixed_by_its_generator_and_can_be_switched_off() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (4, 32, 16, 3), np.uint8)
    twice = [augment(crops, AugmentConfig(), np.random.default_rng(7)) for _ in range(2)]
    assert np.array_equal(*twice)
    assert not np.array_equal(twice[0], crops)
    off = AugmentConfig(flip=0, shift=0, erase=0, contrast=0, brightness=0)
    assert np.array_equal(augment(crops, off, np.random.default_rng(7)), crops)


def test_calibration_crops_are_spread_over_people() -> None:
    labels = np.repeat(np.arange(10), [100, *[3] * 9])
    chosen = stratified(labels, 20, seed=0)
    _, per_person = np.unique(labels[chosen], return_counts=True)
    assert per_person.tolist() == [2] * 10
