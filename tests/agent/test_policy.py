"""Which threshold is in force, and what another policy keeps of the one before."""

from __future__ import annotations

import numpy as np
import pytest
from support.decided_tracks import MODEL_ID

from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.errors import ModelError
from edge_reid.core.types import GallerySnapshot
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.matching.threshold import threshold_for

QUANTILES = ((0.5, 0.1), (0.1, 0.3), (0.001, 0.6))


def gallery(people: int) -> Index:
    vectors = np.eye(max(people, 1), 8, dtype=np.float32)[:people]
    names = tuple(f"person {number}" for number in range(people))
    return Index(GallerySnapshot(names, np.arange(people, dtype=np.int32), vectors, MODEL_ID, 1))


@pytest.fixture
def derived() -> MatchPolicy:
    return MatchPolicy(gallery(2), DecideSettings(target_fpir=0.05), GalleryThresholds(QUANTILES))


def test_a_threshold_follows_the_gallery(derived: MatchPolicy) -> None:
    assert derived.threshold == threshold_for(QUANTILES, 0.05, 2)
    assert derived.with_gallery(gallery(6)).threshold == threshold_for(QUANTILES, 0.05, 6)


@pytest.mark.parametrize(
    ("rules", "is_measured"),
    [
        (DecideSettings(target_fpir=0.05), True),
        (DecideSettings(target_fpir=1e-6), False),
        (DecideSettings(target_fpir=1e-6, threshold=0.7), True),
    ],
)
def test_a_threshold_beyond_the_table_is_known_as_such(
    derived: MatchPolicy, rules: DecideSettings, is_measured: bool
) -> None:
    assert derived.with_rules(rules).is_measured is is_measured


def test_people_are_counted_where_people_were_measured() -> None:
    of_two = ((0.5, 0.2), (0.1, 0.35), (0.001, 0.65))
    snapshot = GallerySnapshot(
        ("anna", "ben"),
        np.array([0, 0, 1, 1], np.int32),
        np.eye(4, 8, dtype=np.float32),
        MODEL_ID,
        1,
    )
    rules = DecideSettings(target_fpir=0.05)
    by_people = MatchPolicy(
        Index(snapshot, fuse=True), rules, GalleryThresholds(QUANTILES, {2: of_two})
    )
    by_templates = MatchPolicy(Index(snapshot), rules, GalleryThresholds(QUANTILES))
    assert by_people.threshold == threshold_for(of_two, 0.05, comparisons=2)
    assert by_templates.threshold == threshold_for(QUANTILES, 0.05, comparisons=4)


def test_a_commanded_threshold_outlives_a_gallery_and_ends_with_other_rules(
    derived: MatchPolicy,
) -> None:
    commanded = derived.with_threshold(0.87).with_gallery(gallery(6))
    assert commanded.threshold == 0.87
    assert commanded.with_rules(DecideSettings(threshold=0.7)).threshold == 0.7


def test_rules_may_come_with_an_emptied_gallery(derived: MatchPolicy) -> None:
    emptied = derived.with_rules(derived.rules, gallery(0))
    assert len(emptied.index) == 0
    assert emptied.threshold == threshold_for(QUANTILES, 0.05, 1)


def test_rules_that_give_no_threshold_leave_the_policy_as_it_is() -> None:
    fixed = MatchPolicy(gallery(2), DecideSettings(threshold=0.7), GalleryThresholds(()))
    with pytest.raises(ModelError, match="expected impostor_quantiles"):
        fixed.with_rules(DecideSettings())
    assert fixed.threshold == 0.7


def test_a_swap_replaces_the_whole(derived: MatchPolicy) -> None:
    holder = PolicyHolder(derived)
    other = derived.with_threshold(0.5)
    holder.swap(other)
    assert holder.current is other
