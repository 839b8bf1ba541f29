"""P×K batches: what metric learning relies on."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_reid.vision.grey_world import balanced
from trainer.data.batches import Batches, TrainingSet, batches_from
from trainer.data.sampler import batches_per_epoch, pk_batches
from trainer.export.quant_ranges import stratified
from trainer.recipe.augment_settings import AugmentConfig
from trainer.recipe.recipe import DataSource, Recipe, Stage

PEOPLE, IMAGES = 3, 4
COUNTS = st.lists(st.integers(1, 40), min_size=PEOPLE, max_size=12)
FEW = settings(max_examples=60, deadline=None)


def labels_of(counts: list[int]) -> np.ndarray:
    """A shuffled data set with so many pictures of each person."""
    return np.random.default_rng(5).permutation(np.repeat(np.arange(len(counts)), counts))


def batches(labels: np.ndarray, seed: int = 1, epoch: int = 0) -> list[np.ndarray]:
    return list(pk_batches(labels, identities=PEOPLE, images=IMAGES, seed=seed, epoch=epoch))


@FEW
@given(counts=COUNTS, seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_a_batch_holds_p_people_and_k_pictures_of_each(
    counts: list[int], seed: int, epoch: int
) -> None:
    labels = labels_of(counts)
    made = batches(labels, seed, epoch)
    assert len(made) == batches_per_epoch(labels, identities=PEOPLE, images=IMAGES)
    for batch in made:
        people, images = np.unique(labels[batch], return_counts=True)
        assert images.tolist() == [IMAGES] * PEOPLE
        for person in people:
            _, shown = np.unique(batch[labels[batch] == person], return_counts=True)
            # Different pictures, and where there are too few of them, each as often as any other.
            assert len(shown) == min(counts[person], IMAGES)
            assert shown.max() - shown.min() <= 1


@FEW
@given(counts=COUNTS, seed=st.integers(0, 99), start=st.integers(0, 20))
def test_every_picture_is_seen_within_a_bounded_number_of_epochs(
    counts: list[int], seed: int, start: int
) -> None:
    """In each epoch, but for somebody with more pictures than an epoch has places."""
    labels = labels_of(counts)
    length = batches_per_epoch(labels, identities=PEOPLE, images=IMAGES)
    groups = -(-max(counts) // IMAGES)
    # Twice a deck of groups in a row holds a whole one, wherever it begins.
    bound = 1 if groups <= length else -(-2 * groups // length)
    epochs = [batches(labels, seed, start + epoch) for epoch in range(bound)]
    assert set(np.concatenate(list(itertools.chain(*epochs)))) == set(range(len(labels)))


def test_an_epoch_shows_every_picture_once_where_people_have_as_many() -> None:
    shown = np.concatenate(batches(np.repeat(np.arange(50), 12)))
    assert sorted(shown) == list(range(600))


@FEW
@given(counts=COUNTS, seed=st.integers(0, 99))
def test_the_seed_and_the_epoch_fix_the_order(counts: list[int], seed: int) -> None:
    labels = labels_of(counts)
    assert np.array_equal(batches(labels, seed), batches(labels, seed))
    many = labels_of([12] * 9)
    assert not np.array_equal(batches(many, seed, epoch=0), batches(many, seed, epoch=1))
    assert not np.array_equal(batches(many, seed), batches(many, seed + 1))


def training_set(counts: list[int]) -> TrainingSet:
    labels = labels_of(counts)
    crops = np.random.default_rng(0).integers(0, 256, (len(labels), 16, 8, 3), np.uint8)
    return TrainingSet(crops, labels, np.zeros((len(labels), 2), np.float32))


RECIPE = Recipe(
    sources=(DataSource(path="people"),),
    stages=(Stage(height_px=32, width_px=32, epochs=1),),
    identities_per_batch=PEOPLE,
    images_per_identity=IMAGES,
)


@FEW
@given(first=st.integers(0, 40), seed=st.integers(0, 99))
def test_batches_begin_at_any_step_as_if_they_had_never_stopped(first: int, seed: int) -> None:
    data = training_set([5, 9, 2, 14])
    straight = itertools.islice(batches_from(data, RECIPE, seed=seed), first, first + 3)
    resumed = batches_from(data, RECIPE, seed=seed, first_step=first)
    for one, other in zip(straight, itertools.islice(resumed, 3), strict=True):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.labels, other.labels)


def test_batches_made_ahead_are_the_same_ones() -> None:
    data = training_set([8, 8, 8])
    with Batches(data, RECIPE, seed=1, first_step=2) as ahead:
        made = [next(ahead) for _ in range(3)]
    for one, other in zip(made, batches_from(data, RECIPE, seed=1, first_step=2), strict=False):
        assert np.array_equal(one.images, other.images)


def test_crops_are_balanced_after_all_other_changes_but_not_for_the_teacher() -> None:
    data, asked = training_set([8, 8, 8]), []

    def online(views: np.ndarray) -> np.ndarray:
        asked.append(views)
        return np.zeros((len(views), 2), np.float32)

    data = replace(data, online=online)
    (plain,) = itertools.islice(batches_from(data, RECIPE, seed=1), 1)
    half = RECIPE.model_copy(update={"grey_world": 0.5})
    (batch,) = itertools.islice(batches_from(data, half, seed=1), 1)
    np.testing.assert_array_equal(batch.images, [balanced(crop, 0.5) for crop in plain.images])
    np.testing.assert_array_equal(asked[1], plain.images)


def test_an_error_while_making_batches_comes_out_where_they_are_awaited() -> None:
    data = training_set([8, 8, 8])
    broken = RECIPE.model_copy(update={"augment": AugmentConfig().model_copy(update={"flip": "x"})})
    with Batches(data, broken, seed=1, first_step=0) as ahead, pytest.raises(TypeError):
        next(ahead)


def test_calibration_crops_are_spread_over_people() -> None:
    labels = np.repeat(np.arange(10), [100, *[3] * 9])
    chosen = stratified(labels, 20, seed=0)
    _, per_person = np.unique(labels[chosen], return_counts=True)
    assert per_person.tolist() == [2] * 10
