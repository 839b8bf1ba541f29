"""Thresholds from quantiles. The false-positive rate is checked against simulated strangers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_reid.core.errors import ModelError
from edge_reid.matching.threshold import is_measured, threshold_for

QUANTILES = ((0.5, 0.10), (0.1, 0.30), (0.01, 0.50), (0.001, 0.62), (0.0001, 0.70))

rates = st.floats(1e-6, 0.999)
sizes = st.integers(1, 1_000_000)


def quantiles_of(scores, ps=(0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)):
    return tuple((p, float(np.quantile(scores, 1 - p))) for p in ps)


class TestThreshold:
    def test_with_one_comparison_it_is_the_impostor_quantile(self):
        assert threshold_for(QUANTILES, 0.01, comparisons=1) == pytest.approx(0.50)

    def test_between_quantiles_it_is_linear_in_log_p(self):
        p = math.sqrt(0.01 * 0.001)  # half way in log p
        assert threshold_for(QUANTILES, p, comparisons=1) == pytest.approx((0.50 + 0.62) / 2)

    def test_the_rate_is_shared_by_all_comparisons(self):
        p = 1 - (1 - 0.01) ** (1 / 50)
        assert threshold_for(QUANTILES, 0.01, comparisons=50) == pytest.approx(
            threshold_for(QUANTILES, p, comparisons=1)
        )

    def test_strangers_are_taken_for_somebody_at_the_accepted_rate(self):
        rng = np.random.default_rng(1)
        table = quantiles_of(rng.normal(0.1, 0.15, 200_000))
        threshold = threshold_for(table, 0.05, comparisons=20)

        strangers = rng.normal(0.1, 0.15, (40_000, 20))

        assert (strangers.max(axis=1) >= threshold).mean() == pytest.approx(0.05, abs=0.01)

    def test_below_the_table_it_errs_towards_unknown(self):
        """Cosines of random directions: the table ends at 1 in 1000, the truth is simulated."""
        rng = np.random.default_rng(2)
        cosines = 2 * rng.beta(31.5, 31.5, 2_000_000) - 1  # of unit vectors in 64 dimensions
        table = quantiles_of(cosines)

        threshold = threshold_for(table, 1e-5, comparisons=1)

        assert threshold > np.quantile(cosines, 1 - 1e-5)
        assert threshold < 1

    def test_far_below_the_table_it_ends_at_one(self):
        assert threshold_for(QUANTILES, 1e-6, comparisons=10**9) == 1.0

    def test_above_the_table_it_stays_at_the_largest_p(self):
        assert threshold_for(QUANTILES, 0.9, comparisons=1) == 0.10

    def test_an_empty_gallery_counts_as_one_comparison(self):
        assert threshold_for(QUANTILES, 0.01, 0) == threshold_for(QUANTILES, 0.01, 1)

    def test_a_table_of_one_point_promises_nothing_beyond_it(self):
        assert threshold_for(((0.01, 0.5),), 0.02, comparisons=1) == 0.5
        assert threshold_for(((0.01, 0.5),), 0.005, comparisons=1) == 1.0

    @given(strict=rates, loose=rates, comparisons=sizes)
    def test_accepting_less_never_lowers_it(self, strict, loose, comparisons):
        strict, loose = sorted((strict, loose))
        assert threshold_for(QUANTILES, strict, comparisons) >= threshold_for(
            QUANTILES, loose, comparisons
        )

    @given(rate=rates, few=sizes, many=sizes)
    def test_a_larger_gallery_never_lowers_it(self, rate, few, many):
        few, many = sorted((few, many))
        assert threshold_for(QUANTILES, rate, many) >= threshold_for(QUANTILES, rate, few)

    @pytest.mark.parametrize(
        "table",
        [
            (),
            ((0.01, 0.5), (0.1, 0.6)),
            ((0.1, 0.6), (0.01, 0.5)),
            ((0.0, 0.9),),
            ((0.1, 1.2),),
            ((0.1, math.nan),),
        ],
        ids=["empty", "p rises", "similarity falls", "p is zero", "above one", "nan"],
    )
    def test_a_table_that_is_none_is_refused(self, table):
        with pytest.raises(ModelError, match="expected impostor_quantiles"):
            threshold_for(table, 0.01, 1)

    @pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
    def test_a_rate_that_is_none_is_refused(self, rate):
        with pytest.raises(ValueError, match="target_fpir"):
            threshold_for(QUANTILES, rate, 1)

    def test_it_is_known_where_the_table_ends(self):
        assert is_measured(QUANTILES, 0.01, comparisons=100)  # 1 in 10,000: the last point
        assert not is_measured(QUANTILES, 0.01, comparisons=101)
        assert is_measured(QUANTILES, 0.9, comparisons=1)
