from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gallery_examples import snapshot_of, unit_vectors

from edge_reid.core.errors import GalleryError
from edge_reid.matching.index import Index


def brute_force(snapshot, vector):
    """Each identity with its nearest template, by falling similarity, in plain loops."""
    best = {}
    for label, row in zip(snapshot.labels, snapshot.vectors, strict=True):
        name = snapshot.identities[label]
        similarity = sum(float(row[axis]) * float(vector[axis]) for axis in range(len(vector)))
        best[name] = max(best.get(name, -2.0), similarity)
    return sorted(best.items(), key=lambda item: -item[1])


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    k=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_search_finds_what_brute_force_finds(labels, k, seed):
    snapshot = snapshot_of(unit_vectors(len(labels), seed=seed), labels)
    probe = unit_vectors(1, seed=seed + 5000)[0]

    found = Index(snapshot).search(probe, k)

    expected = brute_force(snapshot, probe)[:k]
    assert [each.identity for each in found] == [name for name, _ in expected]
    assert [each.similarity for each in found] == pytest.approx(
        [similarity for _, similarity in expected], abs=1e-5
    )


def brute_force_fused(snapshot, vector):
    """Each identity with its nearest template, or the mean of them if that is more alike."""
    best = {}
    for label, name in enumerate(snapshot.identities):
        rows = snapshot.vectors[snapshot.labels == label].astype(np.float64)
        if len(rows):
            mean = rows.sum(axis=0) / np.linalg.norm(rows.sum(axis=0))
            best[name] = max(float(row @ vector) for row in (*rows, mean))
    return sorted(best.items(), key=lambda item: -item[1])


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    k=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_a_fused_search_finds_what_brute_force_finds(labels, k, seed):
    centres = unit_vectors(5, seed=seed)
    vectors = 2 * centres[labels] + unit_vectors(len(labels), seed=seed + 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    snapshot = snapshot_of(vectors, labels)
    probe = unit_vectors(1, seed=seed + 5000)[0]

    found = Index(snapshot, fuse=True).search(probe, k)

    expected = brute_force_fused(snapshot, probe)[:k]
    assert [each.identity for each in found] == [name for name, _ in expected]
    assert [each.similarity for each in found] == pytest.approx(
        [similarity for _, similarity in expected], abs=1e-6
    )


@given(seed=st.integers(0, 1000), order=st.permutations(range(6)))
def test_a_fused_similarity_is_the_same_in_whatever_order_templates_stand(seed, order):
    vectors = unit_vectors(6, seed=seed)
    vectors[1:3] += 2 * vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array([0, 0, 0, 1, 1, 2])
    probe = unit_vectors(1, seed=seed + 1)[0]
    straight, mixed = (
        Index(snapshot_of(vectors[rows], labels[rows]), fuse=True).search(probe)
        for rows in (np.arange(6), np.array(order))
    )
    assert mixed == straight


def test_people_of_one_template_are_as_alike_fused_as_not():
    snapshot = snapshot_of(unit_vectors(50))
    probe = unit_vectors(1, seed=1)[0]
    assert Index(snapshot, fuse=True).search(probe, 9) == Index(snapshot).search(probe, 9)


def test_templates_that_cancel_are_as_alike_as_the_nearest():
    (one,) = unit_vectors(1)
    snapshot = snapshot_of(np.stack([one, -one]), labels=[0, 0])
    (found,) = Index(snapshot, fuse=True).search(-one)
    assert found.similarity == pytest.approx(1.0, abs=1e-6)


def test_it_says_how_many_templates_each_has():
    index = Index(snapshot_of(unit_vectors(5), labels=[2, 0, 2, 0, 2]))
    assert dict(zip(index.identities, index.templates_each, strict=True)) == {"id-0": 2, "id-2": 3}
    assert Index(snapshot_of(unit_vectors(0)), fuse=True).templates_each == ()


def test_the_nearest_template_speaks_for_an_identity():
    near, far, other = unit_vectors(3)
    index = Index(snapshot_of(np.stack([far, other, near]), labels=[0, 1, 0]))

    assert index.search(near, k=1)[0].identity == "id-0"
    assert index.search(near, k=1)[0].similarity == pytest.approx(1.0, abs=1e-6)
    assert len(index) == 3


def test_equals_come_in_the_order_of_the_snapshot():
    same = np.repeat(unit_vectors(1), 6, axis=0)
    found = Index(snapshot_of(same)).search(same[0], k=3)
    assert [each.identity for each in found] == ["id-0", "id-1", "id-2"]


def test_an_empty_gallery_has_no_candidates():
    index = Index(snapshot_of(unit_vectors(0)))
    assert index.search(unit_vectors(1)[0]) == ()


def test_a_vector_of_another_dimension_is_refused():
    index = Index(snapshot_of(unit_vectors(2, dimension=8)))
    with pytest.raises(GalleryError, match=r"expected a vector of 8 numbers, got shape \(16,\)"):
        index.search(unit_vectors(1, dimension=16)[0])


def test_a_million_comparisons_rank_right():
    vectors = unit_vectors(20_000, dimension=64)
    found = Index(snapshot_of(vectors)).search(vectors[12_345], k=2)
    similarities = vectors @ vectors[12_345]
    first, second = np.argsort(-similarities)[:2]
    assert [each.identity for each in found] == [f"id-{first}", f"id-{second}"]
