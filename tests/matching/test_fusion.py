"""From the crops of a track to the one vector that it is compared by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gallery_examples import MODEL, OTHER_MODEL, embeddings_of, unit_vectors

from edge_reid.core.errors import ModelMismatchError
from edge_reid.matching.fusion import fuse, mean_vector


def test_a_mean_is_weighted_by_quality_and_of_unit_norm():
    a, b = unit_vectors(2)
    expected = 0.9 * a + 0.3 * b
    found = mean_vector(embeddings_of(np.stack([a, b]), [0.9, 0.3]), MODEL)
    assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert found.dtype == np.float32


def test_the_trainer_fuses_arrays_to_the_very_bits_of_the_device():
    vectors, qualities = unit_vectors(5), np.linspace(0.2, 0.9, 5)
    on_device = mean_vector(embeddings_of(vectors, qualities.tolist()), MODEL)
    assert np.array_equal(fuse(vectors, qualities), on_device)


def test_qualities_of_zero_count_as_equal():
    vectors = unit_vectors(3)
    zero = mean_vector(embeddings_of(vectors, [0, 0, 0]), MODEL)
    assert zero == pytest.approx(mean_vector(embeddings_of(vectors, [1, 1, 1]), MODEL))


@given(factor=st.floats(0.01, 1.0), seed=st.integers(0, 99))
def test_only_the_ratio_of_qualities_counts(factor, seed):
    vectors, qualities = unit_vectors(4, seed=seed), np.array([0.2, 0.5, 0.7, 1.0])
    assert fuse(vectors, factor * qualities) == pytest.approx(fuse(vectors, qualities), abs=1e-6)


def test_opposite_vectors_point_nowhere():
    (a,) = unit_vectors(1)
    assert mean_vector(embeddings_of(np.stack([a, -a])), MODEL) is None
    assert not fuse(np.stack([a, -a]), np.ones(2)).any()


def test_an_embedding_of_another_model_is_refused():
    strange = embeddings_of(unit_vectors(1), model_id=OTHER_MODEL)
    with pytest.raises(ModelMismatchError, match="expected embeddings of the gallery's model"):
        mean_vector(strange, MODEL)
