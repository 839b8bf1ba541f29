"""The Market-1501 protocol: worked examples, and a brute force that follows its words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.scoring.ranking_metrics import NOBODY, People, rank_gallery


def people(angles: list[float], labels: list[int], cameras: list[int]) -> People:
    """Points on the unit circle: the cosine falls with the angle between two of them."""
    radians = np.radians(angles)
    points = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    return People(points, np.array(labels), np.array(cameras), np.ones(len(labels)))


def test_worked_example() -> None:
    """Person 7 stands at 0°, camera 1. Ranked: 1° (himself, same camera: left out), 2° (somebody
    else), 3° (himself), 4° (a distractor), 5° (himself).  So matches are at ranks 2 and 4:
    AP = (1/2 + 2/4) / 2 = 0.5, INP = 2/4, first found at rank 2.
    """
    query = people([0], [7], [1])
    gallery = people([5, 4, 3, 2, 1], [7, 0, 7, 8, 7], [3, 2, 2, 1, 1])
    result = rank_gallery(query, gallery, max_rank=5)
    assert result.mean_average_precision == pytest.approx(0.5)
    assert result.mean_inverse_penalty == pytest.approx(0.5)
    assert [result.rank(k) for k in (1, 2, 5)] == [0.0, 1.0, 1.0]
    assert result.ranked.tolist() == [[3, 2, 1, 0, NOBODY]]


def test_two_queries_by_hand() -> None:
    """Query a finds himself at ranks 1 and 3: AP (1 + 2/3) / 2 = 5/6, INP 2/3. Query b finds
    himself at rank 2: AP 1/2, INP 1/2.
    """
    query = people([0, 90], [1, 2], [1, 1])
    gallery = people([1, 2, 3, 80, 89], [1, 3, 1, 2, 3], [2, 2, 3, 2, 2])
    result = rank_gallery(query, gallery)
    assert result.average_precisions.tolist() == pytest.approx([5 / 6, 1 / 2])
    assert result.inverse_penalties.tolist() == pytest.approx([2 / 3, 1 / 2])
    assert result.mean_average_precision == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert [result.rank(1), result.rank(2)] == [0.5, 1.0]
    assert result.ranked[:, :3].tolist() == [[0, 1, 2], [4, 3, 2]]


def test_junk_is_left_out_and_a_distractor_stays() -> None:
    query = people([0], [7], [1])
    behind_junk = rank_gallery(query, people([1, 2], [-1, 7], [2, 2]))
    behind_distractor = rank_gallery(query, people([1, 2], [0, 7], [2, 2]))
    assert behind_junk.rank(1) == 1.0
    assert behind_junk.ranked[0, :2].tolist() == [1, NOBODY]
    assert behind_distractor.rank(1) == 0.0


def test_a_query_without_a_match_is_skipped_and_named() -> None:
    query = people([0, 10], [7, 9], [1, 1])
    gallery = people([1, 11], [7, 9], [2, 1])  # person 9 is seen by camera 1 only
    result = rank_gallery(query, gallery)
    assert (result.queries, result.skipped) == (1, (1,))
    assert result.rank(1) == 1.0
    assert rank_gallery(query, gallery, cross_camera=False).skipped == ()


def test_nothing_is_earned_by_mapping_everybody_to_one_point() -> None:
    query = people([0], [7], [1])
    gallery = people([0, 0, 0, 0], [7, 1, 2, 7], [2, 2, 2, 3])
    result = rank_gallery(query, gallery)
    assert result.ranked[0, :4].tolist() == [1, 2, 0, 3]
    assert result.rank(2) == 0.0
    assert result.mean_average_precision == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_a_rank_that_was_not_computed_is_refused() -> None:
    result = rank_gallery(people([0], [1], [1]), people([0], [1], [2]), max_rank=10)
    with pytest.raises(ValueError, match="expected a rank of 1 to 10, got 11"):
        result.rank(11)


def brute_force(query: People, gallery: People, number: int) -> list[int]:
    """The ranked list of one query, word by word: somebody else first among equals."""
    e, label, camera = query.embeddings[number], query.labels[number], query.cameras[number]
    kept = [
        j
        for j in range(len(gallery.labels))
        if gallery.labels[j] >= 0
        and not (gallery.labels[j] == label and gallery.cameras[j] == camera)
    ]
    return sorted(
        kept, key=lambda j: (-float(e @ gallery.embeddings[j]), gallery.labels[j] == label, j)
    )


def scores(good: list[bool]) -> tuple[int, float, float]:
    """(first rank, AP, INP) by plain loops."""
    at = [rank for rank, hit in enumerate(good, start=1) if hit]
    return at[0], sum((n + 1) / rank for n, rank in enumerate(at)) / len(at), len(at) / at[-1]


@given(seed=st.integers(0, 10_000), coarse=st.booleans(), gallery_size=st.integers(1, 70))
@settings(max_examples=25, deadline=None)
def test_agrees_with_brute_force(seed: int, coarse: bool, gallery_size: int) -> None:
    """Also with few and exact similarities, so that many are equal."""
    rng = np.random.default_rng(seed)

    def draw(count: int, first_label: int) -> People:
        e = rng.integers(-1, 2, (count, 4)) if coarse else rng.normal(size=(count, 8))
        labels = rng.integers(first_label, 6, count)
        return People(e.astype(np.float32), labels, rng.integers(0, 3, count), np.ones(count))

    query, gallery = draw(20, 0), draw(gallery_size, -1)
    result = rank_gallery(query, gallery, max_rank=10)
    firsts = []
    for number in range(20):
        ranked = brute_force(query, gallery, number)
        if coarse:  # exact arithmetic: the whole order is determined
            padded = ranked[:10] + [NOBODY] * (10 - len(ranked[:10]))
            assert result.ranked[number].tolist() == padded
        good = [bool(gallery.labels[j] == query.labels[number]) for j in ranked]
        if not any(good):
            assert number in result.skipped
            continue
        first, precision, penalty = scores(good)
        firsts.append(first)
        assert result.average_precisions[number] == pytest.approx(precision)
        assert result.inverse_penalties[number] == pytest.approx(penalty)
    assert result.queries == len(firsts)
    for k in (1, 5, 10):
        expected = np.mean([first <= k for first in firsts]) if firsts else 0.0
        assert result.rank(k) == pytest.approx(expected)


def torchreid(query: People, gallery: People, max_rank: int) -> tuple[list[float], float]:
    """(CMC, mAP) in the steps of Torchreid's `eval_market1501`, on distances, junk unread."""
    read = gallery.take(gallery.labels != -1)
    order = np.argsort(1 - query.embeddings @ read.embeddings.T, axis=1)
    curves, precisions = [], []
    for number, nearest in enumerate(order):
        own = read.labels[nearest] == query.labels[number]
        removed = own & (read.cameras[nearest] == query.cameras[number])
        hits = own[~removed].astype(int)
        if not hits.any():
            continue
        found = hits.cumsum()
        curves.append(np.minimum(found, 1)[:max_rank])
        precisions.append(np.sum(found / np.arange(1, len(hits) + 1) * hits) / hits.sum())
    return np.mean(curves, axis=0).tolist(), float(np.mean(precisions))


def test_agrees_with_torchreid_on_a_gallery_with_distractors_and_junk() -> None:
    rng = np.random.default_rng(0)

    def draw(labels: np.ndarray) -> People:
        e = rng.normal(size=(len(labels), 16)).astype(np.float32)
        e /= np.linalg.norm(e, axis=1, keepdims=True)
        return People(e, labels, rng.integers(1, 7, len(labels)), np.ones(len(labels)))

    query = draw(rng.integers(1, 31, 80))
    gallery = draw(np.concatenate([rng.integers(1, 31, 300), np.zeros(90, int), np.full(70, -1)]))
    cmc, mean_precision = torchreid(query, gallery, 20)
    found = rank_gallery(query, gallery, max_rank=20)
    assert found.cmc.tolist() == pytest.approx(cmc)
    assert found.mean_average_precision == pytest.approx(mean_precision)


def test_more_queries_than_one_chunk_holds() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 360, 600).tolist()
    crowd = people(angles, rng.integers(0, 9, 600).tolist(), rng.integers(0, 3, 600).tolist())
    whole = rank_gallery(crowd, crowd)
    parts = [rank_gallery(crowd.take(np.array([i])), crowd) for i in (0, 255, 256, 599)]
    for i, part in zip((0, 255, 256, 599), parts, strict=True):
        assert part.mean_average_precision == pytest.approx(whole.average_precisions[i])
