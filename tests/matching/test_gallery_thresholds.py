"""Thresholds of galleries whose people have several templates, against simulated impostors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.threshold_examples import manifest

from edge_reid.core.errors import ModelError
from edge_reid.core.manifest import PersonQuantiles
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.threshold import is_measured, share_reaching, threshold_for

SINGLE = ((0.5, 0.10), (0.1, 0.30), (0.01, 0.50), (0.001, 0.62))
TWO = ((0.5, 0.14), (0.1, 0.34), (0.01, 0.53), (0.001, 0.66))
FIVE = ((0.5, 0.18), (0.1, 0.37), (0.01, 0.56), (0.001, 0.69))
BY_TEMPLATES = GalleryThresholds(SINGLE, {2: TWO, 5: FIVE})

galleries = st.lists(st.integers(1, 12), min_size=1, max_size=30)
rates = st.floats(1e-5, 0.4)


@given(rate=rates, templates_each=galleries)
def test_without_tables_of_people_every_template_counts(rate, templates_each):
    thresholds = GalleryThresholds(SINGLE)
    asked = SINGLE, rate, sum(templates_each)
    assert not thresholds.fuse
    assert thresholds.threshold(rate, templates_each) == threshold_for(*asked)
    assert thresholds.is_measured(rate, templates_each) == is_measured(*asked)


@pytest.mark.parametrize(("templates", "table"), [(1, SINGLE), (2, TWO), (5, FIVE)])
def test_people_of_as_many_templates_have_a_table_of_their_own(templates, table):
    found = BY_TEMPLATES.threshold(0.01, [templates] * 7)
    assert found == threshold_for(table, 0.01, comparisons=7)


@pytest.mark.parametrize(("templates", "people"), [(3, 1), (4, 1), (6, 2), (10, 2), (11, 3)])
def test_what_was_not_measured_errs_towards_unknown(templates, people):
    assert BY_TEMPLATES.threshold(0.01, [templates]) == threshold_for(FIVE, 0.01, people)


def test_nobody_enrolled_counts_as_one_person():
    assert BY_TEMPLATES.threshold(0.01, []) == BY_TEMPLATES.threshold(0.01, [1])


def test_a_mixed_gallery_keeps_the_rate():
    rng = np.random.default_rng(3)
    drawn = {size: rng.normal(0.1 + 0.02 * size, 0.15, 400_000) for size in (1, 2, 5)}
    shares = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)
    single, two, five = (
        tuple((p, float(np.quantile(scores, 1 - p))) for p in shares) for scores in drawn.values()
    )
    templates_each = [1] * 6 + [2] * 3 + [5] * 5
    threshold = GalleryThresholds(single, {2: two, 5: five}).threshold(0.05, templates_each)

    probes = np.stack([rng.normal(0.1 + 0.02 * n, 0.15, 60_000) for n in templates_each])

    assert (probes.max(axis=0) >= threshold).mean() == pytest.approx(0.05, abs=0.005)


@given(rate=rates, templates_each=galleries, more=st.integers(1, 12))
def test_another_person_never_lowers_it(rate, templates_each, more):
    before = BY_TEMPLATES.threshold(rate, templates_each)
    assert BY_TEMPLATES.threshold(rate, [*templates_each, more]) >= before - 1e-9


@given(similarity=st.floats(0.1, 0.95))
def test_a_share_is_that_of_its_threshold(similarity):
    share = share_reaching(SINGLE, similarity)
    assert threshold_for(SINGLE, share, 1) == pytest.approx(similarity, abs=1e-9)


@given(rate=st.floats(0.001, 0.3), ones=st.integers(1, 40), fives=st.integers(1, 40))
def test_an_impostor_of_a_mixed_gallery_is_refused_by_all(rate, ones, fives):
    threshold = BY_TEMPLATES.threshold(rate, [1] * ones + [5] * fives)
    by_ones, by_fives = (1 - share_reaching(table, threshold) for table in (SINGLE, FIVE))
    assert by_ones**ones * by_fives**fives == pytest.approx(1 - rate, abs=1e-6)


def test_a_mixed_gallery_is_measured_as_far_as_the_shortest_table():
    assert BY_TEMPLATES.is_measured(0.01, [1] * 3 + [5])
    assert not BY_TEMPLATES.is_measured(0.001, [1] * 3 + [5])


def test_they_are_those_of_a_manifest():
    tables = tuple(
        PersonQuantiles(templates=templates, impostor_quantiles=table)
        for templates, table in BY_TEMPLATES.several.items()
    )
    written = manifest().model_copy(
        update={"impostor_quantiles": SINGLE, "impostor_quantiles_by_templates": tables}
    )
    assert GalleryThresholds.of(written) == BY_TEMPLATES
    assert not GalleryThresholds.of(manifest()).fuse


@pytest.mark.parametrize("single", [(), SINGLE], ids=["none", "one"])
def test_a_table_that_is_none_is_refused(single):
    falling = GalleryThresholds(single, {2: ((0.1, 0.6), (0.01, 0.5))})
    with pytest.raises(ModelError, match="expected impostor_quantiles"):
        falling.threshold(0.01, [1, 2])
    with pytest.raises(ModelError, match="expected impostor_quantiles"):
        falling.is_measured(0.01, [2])
