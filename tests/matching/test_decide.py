"""Decisions: known, unknown, uncertain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gallery_examples import MODEL, OTHER_MODEL, embeddings_of, snapshot_of, unit_vectors

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.errors import ModelMismatchError
from edge_reid.core.types import Known, Uncertain, Unknown
from edge_reid.matching.decide import decide
from edge_reid.matching.index import Index

SETTINGS = DecideSettings(min_crops=2, min_margin=0.05)


class TestDecide:
    def test_near_enough_and_alone_is_known(self):
        gallery = unit_vectors(3)
        decision = decide(
            embeddings_of(gallery[[1, 1]]),
            Index(snapshot_of(gallery)),
            threshold=0.8,
            settings=SETTINGS,
        )
        others = max(float(gallery[1] @ gallery[0]), float(gallery[1] @ gallery[2]))
        assert isinstance(decision, Known)
        assert decision.identity == "id-1"
        assert decision.similarity == pytest.approx(1, abs=1e-6)
        assert decision.margin == pytest.approx(1 - others, abs=1e-6)
        assert decision.crops == 2

    def test_the_only_identity_has_no_margin(self):
        gallery = unit_vectors(1)
        decision = decide(
            embeddings_of(gallery[[0, 0]]),
            Index(snapshot_of(gallery)),
            threshold=0.8,
            settings=SETTINGS,
        )
        assert isinstance(decision, Known)
        assert decision.margin is None

    def test_far_from_everybody_is_unknown(self):
        gallery = unit_vectors(3)
        stranger = unit_vectors(1, seed=9)
        decision = decide(
            embeddings_of(np.repeat(stranger, 2, axis=0)),
            Index(snapshot_of(gallery)),
            threshold=0.8,
            settings=SETTINGS,
        )
        assert decision == Unknown(decision.similarity, 0.8, crops=2)
        assert decision.similarity == pytest.approx(float((gallery @ stranger[0]).max()), abs=1e-6)

    def test_between_two_near_identities_it_is_uncertain(self):
        a, b = unit_vectors(2)
        middle = (a + b) / np.linalg.norm(a + b)
        decision = decide(
            embeddings_of(np.stack([middle, middle])),
            Index(snapshot_of(np.stack([a, b]))),
            threshold=0.3,
            settings=SETTINGS,
        )
        assert isinstance(decision, Uncertain)
        assert decision.margin == pytest.approx(0, abs=1e-6)
        assert decision.candidate is not None

    def test_too_few_crops_are_uncertain_until_no_more_will_come(self):
        gallery = unit_vectors(2)
        index = Index(snapshot_of(gallery))
        one = embeddings_of(gallery[:1])

        early = decide(one, index, threshold=0.8, settings=SETTINGS)
        late = decide(one, index, threshold=0.8, settings=SETTINGS, final=True)

        assert isinstance(early, Uncertain)
        assert early.candidate is not None
        assert early.candidate.identity == "id-0"
        assert isinstance(late, Known)
        assert late.identity == "id-0"

    def test_too_few_crops_of_a_stranger_name_nobody(self):
        decision = decide(
            embeddings_of(unit_vectors(1, seed=9)),
            Index(snapshot_of(unit_vectors(3))),
            threshold=0.8,
            settings=SETTINGS,
        )
        assert decision == Uncertain(None, 0.8, None, crops=1)

    def test_no_crop_at_all_is_uncertain_even_at_the_end(self):
        index = Index(snapshot_of(unit_vectors(3)))
        decision = decide([], index, threshold=0.8, settings=SETTINGS, final=True)
        assert decision == Uncertain(None, 0.8, None, crops=0)

    def test_in_an_empty_gallery_everybody_is_unknown(self):
        index = Index(snapshot_of(unit_vectors(0)))
        crops = embeddings_of(unit_vectors(2))
        assert decide(crops, index, threshold=0.8, settings=SETTINGS) == Unknown(None, 0.8, 2)

    def test_an_embedding_of_another_model_is_refused(self):
        index = Index(snapshot_of(unit_vectors(1)))
        crops = embeddings_of(unit_vectors(2), model_id=OTHER_MODEL)
        with pytest.raises(ModelMismatchError, match=f"{MODEL}, got one of {OTHER_MODEL}"):
            decide(crops, index, threshold=0.8, settings=SETTINGS)

    @given(seed=st.integers(0, 10_000), threshold=st.floats(-0.9, 0.99), final=st.booleans())
    def test_nobody_is_named_below_the_threshold(self, seed, threshold, final):
        gallery = unit_vectors(5, dimension=4, seed=seed)
        crops = unit_vectors(1 + seed % 4, dimension=4, seed=seed + 1)
        decision = decide(
            embeddings_of(crops),
            Index(snapshot_of(gallery, labels=[0, 0, 1, 2, 2])),
            threshold=threshold,
            settings=SETTINGS,
            final=final,
        )
        if isinstance(decision, Known):
            assert decision.similarity >= threshold
            assert decision.margin is not None
            assert decision.margin >= SETTINGS.min_margin
        elif isinstance(decision, Uncertain) and decision.candidate is not None:
            assert decision.candidate.similarity >= threshold

    @given(seed=st.integers(0, 10_000), order=st.permutations(range(6)))
    def test_neither_the_order_of_crops_nor_of_the_gallery_matters(self, seed, order):
        gallery = unit_vectors(6, dimension=4, seed=seed)
        labels = np.array([0, 0, 1, 2, 2, 1], np.int32)
        crops = unit_vectors(6, dimension=4, seed=seed + 1)
        qualities = list(np.linspace(0.2, 0.9, 6))
        shuffled = list(order)

        straight = decide(
            embeddings_of(crops, qualities),
            Index(snapshot_of(gallery, labels)),
            threshold=0.5,
            settings=SETTINGS,
        )
        mixed = decide(
            embeddings_of(crops[shuffled], [qualities[row] for row in shuffled]),
            Index(snapshot_of(gallery[shuffled], labels[shuffled])),
            threshold=0.5,
            settings=SETTINGS,
        )

        assert type(mixed) is type(straight)
        if isinstance(straight, Known) and isinstance(mixed, Known):
            assert mixed.identity == straight.identity
            assert mixed.similarity == pytest.approx(straight.similarity, abs=1e-5)

    def test_opposite_vectors_decide_nothing(self):
        (a,) = unit_vectors(1)
        decision = decide(
            embeddings_of(np.stack([a, -a])),
            Index(snapshot_of(a[None])),
            threshold=0.5,
            settings=SETTINGS,
        )
        assert decision == Uncertain(None, 0.5, None, crops=2)
