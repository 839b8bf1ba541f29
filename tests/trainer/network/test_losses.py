"""Every loss is recomputed by a naive loop, and holds still where it must."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.trainer
losses = pytest.importorskip("trainer.network.losses", reason="needs Keras")

RNG = np.random.default_rng(3)
LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
EMBEDDINGS = RNG.normal(size=(9, 5)).astype(np.float32)
FEW = settings(max_examples=15, deadline=None)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def cross_entropy(row: np.ndarray, label: int) -> float:
    return math.log(sum(math.exp(v - row.max()) for v in row)) + row.max() - row[label]


TEACHER = unit(RNG.normal(size=(9, 5))).astype(np.float32)
COSINES = np.clip(RNG.normal(scale=0.6, size=(9, 3)), -0.999, 0.999).astype(np.float32)
COSINES[0, 0] = -0.99  # so far away that θ + m would pass π


def friends(anchor: int) -> list[int]:
    return [i for i in range(9) if LABELS[i] == LABELS[anchor] and i != anchor]


def strangers(anchor: int) -> list[int]:
    return [i for i in range(9) if LABELS[i] != LABELS[anchor]]


def test_smoothed_softmax_is_cross_entropy_with_softened_targets() -> None:
    logits = RNG.normal(size=(9, 3)).astype(np.float32)
    total = 0.0
    for row, label in zip(logits, LABELS, strict=True):
        for column in range(3):
            target = 0.1 / 3 + (0.9 if column == label else 0.0)
            total += target * cross_entropy(row, column)
    assert float(losses.smoothed_softmax(logits, LABELS)) == pytest.approx(total / 9, rel=1e-5)


def test_arcface_adds_its_margin_to_the_angle() -> None:
    total = 0.0
    for row, label in zip(COSINES, LABELS, strict=True):
        harder = row.astype(np.float64)
        angle = math.acos(row[label])
        if angle + 0.5 < math.pi:
            harder[label] = math.cos(angle + 0.5)
        else:
            harder[label] = row[label] - 0.5 * math.sin(0.5)
        total += cross_entropy(16.0 * harder, label)
    found = float(losses.arcface(COSINES, LABELS, scale=16.0, margin=0.5))
    assert found == pytest.approx(total / 9, rel=1e-4)


def test_cosface_takes_its_margin_off_the_cosine() -> None:
    total = 0.0
    for row, label in zip(COSINES, LABELS, strict=True):
        total += cross_entropy(16.0 * (row - 0.2 * np.eye(3)[label]), label)
    found = float(losses.cosface(COSINES, LABELS, scale=16.0, margin=0.2))
    assert found == pytest.approx(total / 9, rel=1e-4)


def distances_to(anchor: int, others: list[int]) -> list[float]:
    e = unit(EMBEDDINGS)
    return [float(np.linalg.norm(e[anchor] - e[i])) for i in others]


def test_batch_hard_triplet_takes_the_furthest_friend_and_the_nearest_stranger() -> None:
    total = 0.0
    for a in range(9):
        furthest, nearest = max(distances_to(a, friends(a))), min(distances_to(a, strangers(a)))
        total += max(0.0, 0.3 + furthest - nearest)
    found = float(losses.batch_hard_triplet(EMBEDDINGS, LABELS))
    assert found == pytest.approx(total / 9, rel=1e-3)


def test_soft_margin_triplet_never_stops_pulling() -> None:
    total = 0.0
    for a in range(9):
        furthest, nearest = max(distances_to(a, friends(a))), min(distances_to(a, strangers(a)))
        total += math.log(1 + math.exp(furthest - nearest))
    found = float(losses.soft_margin_triplet(EMBEDDINGS, LABELS))
    assert found == pytest.approx(total / 9, rel=1e-3)


def test_circle_weighs_each_pair_by_how_far_it_is_from_its_aim() -> None:
    e, scale, margin = unit(EMBEDDINGS).astype(np.float64), 8.0, 0.25
    total = 0.0
    for a in range(9):
        pull = push = 0.0
        for i in friends(a):
            s = float(e[a] @ e[i])
            pull += math.exp(-scale * max(1 + margin - s, 0) * (s - (1 - margin)))
        for i in strangers(a):
            s = float(e[a] @ e[i])
            push += math.exp(scale * max(s + margin, 0) * (s - margin))
        total += math.log(1 + pull * push)
    found = float(losses.circle(EMBEDDINGS, LABELS, scale, margin))
    assert found == pytest.approx(total / 9, rel=1e-4)


def test_supervised_contrastive_is_a_softmax_over_all_others() -> None:
    e, temperature = unit(EMBEDDINGS), 0.5
    total = 0.0
    for a in range(9):
        everybody = sum(math.exp(e[a] @ e[i] / temperature) for i in range(9) if i != a)
        chances = [math.exp(e[a] @ e[i] / temperature) / everybody for i in friends(a)]
        total -= np.mean([math.log(c) for c in chances])
    found = float(losses.supervised_contrastive(EMBEDDINGS, LABELS, temperature))
    assert found == pytest.approx(total / 9, rel=1e-4)


def test_center_is_half_the_squared_distance_to_the_own_centre() -> None:
    centers = RNG.normal(size=(3, 5)).astype(np.float32)
    e = unit(EMBEDDINGS)
    parts = [0.5 * np.sum((e[i] - centers[LABELS[i]]) ** 2) for i in range(9)]
    found = float(losses.center(EMBEDDINGS, LABELS, centers))
    assert found == pytest.approx(np.mean(parts), rel=1e-4)


def test_centres_move_towards_the_pictures_of_the_batch_alone() -> None:
    centers = RNG.normal(size=(4, 5)).astype(np.float32)
    expected = centers.copy()
    for person in range(3):
        mine = [i for i in range(9) if LABELS[i] == person]
        away = sum(centers[person] - unit(EMBEDDINGS[i]) for i in mine)
        expected[person] -= 0.5 * away / (1 + len(mine))
    moved = np.array(
        losses.ops.convert_to_numpy(losses.moved_centers(EMBEDDINGS, LABELS, centers, rate=0.5))
    )
    assert np.allclose(moved, expected, atol=1e-5)
    assert np.array_equal(moved[3], centers[3])


def test_regression_counts_only_images_with_a_teacher() -> None:
    teacher = TEACHER.copy()
    teacher[4] = 0.0
    cosines = [unit(EMBEDDINGS[i]) @ teacher[i] for i in range(9) if i != 4]
    expected = np.mean([1 - c for c in cosines])
    found = float(losses.embedding_regression(EMBEDDINGS, teacher))
    assert found == pytest.approx(expected, rel=1e-5)


def test_relational_compares_every_pair_of_two_images_with_a_teacher() -> None:
    teacher = unit(RNG.normal(size=(9, 7))).astype(np.float32)  # of another dimension
    teacher[4] = 0.0
    e = unit(EMBEDDINGS)
    differences = [
        (e[i] @ e[j] - teacher[i] @ teacher[j]) ** 2
        for i in range(9)
        for j in range(9)
        if i != j and 4 not in (i, j)
    ]
    found = float(losses.relational(EMBEDDINGS, teacher))
    assert found == pytest.approx(np.mean(differences), rel=1e-4)


def test_a_student_that_equals_its_teacher_has_nothing_to_learn() -> None:
    assert float(losses.embedding_regression(3 * TEACHER, TEACHER)) == pytest.approx(0, abs=1e-5)
    assert float(losses.relational(3 * TEACHER, TEACHER)) == pytest.approx(0, abs=1e-5)


PAIRWISE = [
    losses.batch_hard_triplet,
    losses.soft_margin_triplet,
    losses.circle,
    losses.supervised_contrastive,
]


@pytest.mark.parametrize("loss", PAIRWISE)
@FEW
@given(seed=st.integers(0, 10_000), size=st.floats(0.01, 100.0))
def test_order_names_and_size_do_not_matter(
    loss: Callable[..., object], seed: int, size: float
) -> None:
    """Batches shuffled, identities renumbered, embeddings scaled and turned: the same loss."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(12, 6)).astype(np.float32)
    labels = rng.permutation(np.repeat(np.arange(3), 4))
    order = rng.permutation(12)
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    changed = (size * embeddings @ turn).astype(np.float32)[order]
    renamed = np.array([7, 2, 5])[labels][order]
    before, after = float(loss(embeddings, labels)), float(loss(changed, renamed))  # type: ignore[arg-type]
    assert after == pytest.approx(before, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("loss", PAIRWISE)
@FEW
@given(seed=st.integers(0, 10_000))
def test_people_apart_cost_less_than_people_mixed(loss: Callable[..., object], seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 4)
    apart = (np.eye(3, 6)[labels] + 0.01 * rng.normal(size=(12, 6))).astype(np.float32)
    mixed = rng.permutation(apart)
    costs = [float(loss(each, labels)) for each in (apart, mixed)]  # type: ignore[arg-type]
    # A permutation may leave people apart; the sums then differ by their order alone.
    assert 0 <= costs[0] <= costs[1] * (1 + 1e-5) + 1e-6


@FEW
@given(seed=st.integers(0, 10_000), margin=st.floats(0.05, 1.0))
def test_a_margin_makes_it_harder(seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-1, 1, (6, 4)).astype(np.float32)
    labels = rng.integers(0, 4, 6)
    plain = float(losses.cosface(cosines, labels, 8.0, 0.0))
    assert float(losses.arcface(cosines, labels, 8.0, 0.0)) == pytest.approx(plain, rel=1e-2)
    assert float(losses.cosface(cosines, labels, 8.0, margin)) > plain
    assert float(losses.arcface(cosines, labels, 8.0, margin)) > plain


@pytest.mark.parametrize(
    ("loss", "labels", "expected"),
    [
        (losses.batch_hard_triplet, [0, 0, 0, 0], 0.0),
        (losses.soft_margin_triplet, [0, 0, 0, 0], 0.0),
        (losses.circle, [0, 0, 0, 0], 0.0),
        (losses.circle, [0, 1, 2, 3], 0.0),
        (losses.supervised_contrastive, [0, 1, 2, 3], 0.0),
    ],
)
def test_a_batch_without_strangers_or_friends_costs_nothing(
    loss: Callable[..., object], labels: list[int], expected: float
) -> None:
    found = float(loss(EMBEDDINGS[:4], np.array(labels)))  # type: ignore[arg-type]
    assert found == pytest.approx(expected, abs=1e-6)
