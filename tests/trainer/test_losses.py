"""Every loss is recomputed by a naive loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
losses = pytest.importorskip("trainer.losses", reason="needs TensorFlow")

RNG = np.random.default_rng(3)
LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
EMBEDDINGS = RNG.normal(size=(9, 5)).astype(np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


TEACHER = unit(RNG.normal(size=(9, 5))).astype(np.float32)


def test_smoothed_softmax_is_cross_entropy_with_softened_targets() -> None:
    logits = RNG.normal(size=(9, 3)).astype(np.float32)
    total = 0.0
    for row, label in zip(logits, LABELS, strict=True):
        log_p = row - math.log(sum(math.exp(v) for v in row))
        for column in range(3):
            target = 0.1 / 3 + (0.9 if column == label else 0.0)
            total -= target * log_p[column]
    assert float(losses.smoothed_softmax(logits, LABELS)) == pytest.approx(total / 9, rel=1e-5)


def test_batch_hard_triplet_takes_the_furthest_friend_and_the_nearest_stranger() -> None:
    e = unit(EMBEDDINGS)
    total = 0.0
    for a in range(9):
        friends = [np.linalg.norm(e[a] - e[i]) for i in range(9) if LABELS[i] == LABELS[a]]
        strangers = [np.linalg.norm(e[a] - e[i]) for i in range(9) if LABELS[i] != LABELS[a]]
        total += max(0.0, 0.3 + max(friends) - min(strangers))
    assert float(losses.batch_hard_triplet(EMBEDDINGS, LABELS)) == pytest.approx(
        total / 9, rel=1e-3
    )


def test_regression_counts_only_images_with_a_teacher() -> None:
    teacher = TEACHER.copy()
    teacher[4] = 0.0
    cosines = [unit(EMBEDDINGS[i]) @ teacher[i] for i in range(9) if i != 4]
    expected = np.mean([1 - c for c in cosines])
    found = float(losses.embedding_regression(EMBEDDINGS, teacher))
    assert found == pytest.approx(expected, rel=1e-5)


def test_relational_compares_every_pair_of_two_images_with_a_teacher() -> None:
    teacher = TEACHER.copy()
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
