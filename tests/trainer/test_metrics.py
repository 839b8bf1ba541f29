"""The Market-1501 protocol: a worked example, and a brute force that follows its words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.metrics import People, rank_gallery


def people(angles: list[float], labels: list[int], cameras: list[int]) -> People:
    """Points on the unit circle: the cosine falls with the angle between two of them."""
    radians = np.radians(angles)
    points = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    return People(points, np.array(labels), np.array(cameras))


def test_worked_example() -> None:
    """Person 7 stands at 0°, camera 1. Ranked: 1° (himself, same camera: left out), 2° (somebody
    else), 3° (himself), 4° (a distractor), 5° (himself).  So matches are at ranks 2 and 4:
    AP = (1/2 + 2/4) / 2 = 0.5, INP = 2/4, first found at rank 2.
    """
    query = people([0], [7], [1])
    gallery = people([5, 4, 3, 2, 1], [7, 0, 7, 8, 7], [3, 2, 2, 1, 1])
    result = rank_gallery(query, gallery)
    assert result.mean_average_precision == pytest.approx(0.5)
    assert result.mean_inverse_penalty == pytest.approx(0.5)
    assert [result.rank(k) for k in (1, 2, 5)] == [0.0, 1.0, 1.0]


def test_junk_is_left_out_and_a_distractor_stays() -> None:
    query = people([0], [7], [1])
    behind_junk = rank_gallery(query, people([1, 2], [-1, 7], [2, 2]))
    behind_distractor = rank_gallery(query, people([1, 2], [0, 7], [2, 2]))
    assert behind_junk.rank(1) == 1.0
    assert behind_distractor.rank(1) == 0.0


def test_a_query_without_a_match_is_skipped_and_named() -> None:
    query = people([0, 10], [7, 9], [1, 1])
    gallery = people([1, 11], [7, 9], [2, 1])  # person 9 is seen by camera 1 only
    result = rank_gallery(query, gallery)
    assert (result.queries, result.skipped) == (1, (1,))
    assert rank_gallery(query, gallery, cross_camera=False).skipped == ()


def brute_force(query: People, gallery: People) -> tuple[float, float, float]:
    """Rank-1, mAP and mINP, word by word."""
    firsts, precisions, penalties = [], [], []
    for e, label, camera in zip(query.embeddings, query.labels, query.cameras, strict=True):
        ranked = sorted(range(len(gallery.labels)), key=lambda j: -float(e @ gallery.embeddings[j]))
        good = [
            gallery.labels[j] == label
            for j in ranked
            if gallery.labels[j] >= 0
            and not (gallery.labels[j] == label and gallery.cameras[j] == camera)
        ]
        if not any(good):
            continue
        firsts.append(good[0])
        at = [rank for rank, hit in enumerate(good, start=1) if hit]
        precisions.append(np.mean([(n + 1) / rank for n, rank in enumerate(at)]))
        penalties.append(len(at) / at[-1])
    return float(np.mean(firsts)), float(np.mean(precisions)), float(np.mean(penalties))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def draw(count: int, first_label: int) -> People:
        e = rng.normal(size=(count, 8))
        e /= np.linalg.norm(e, axis=1, keepdims=True)
        labels = rng.integers(first_label, 6, count)
        return People(e.astype(np.float32), labels, rng.integers(0, 3, count))

    query, gallery = draw(300, 0), draw(60, -1)  # more queries than one chunk holds
    result = rank_gallery(query, gallery)
    found = result.rank(1), result.mean_average_precision, result.mean_inverse_penalty
    assert found == pytest.approx(brute_force(query, gallery))
