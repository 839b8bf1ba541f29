"""Two models on the same people: with which a device names fewer, and whether that is sure."""

from __future__ import annotations

import numpy as np
from support.threshold_examples import crowd

from trainer.scoring.ranking_metrics import People
from trainer.thresholds.missed_people import (
    ComparedModel,
    compare_missed,
    more_missed,
    supports_galleries,
)
from trainer.thresholds.similarities import Quantiles, photo_decisions
from trainer.thresholds.threshold_table import calibrate, table

SHARP, BLURRED = crowd(60, noise=0.4), crowd(60, noise=0.9)
"""The same people, whom the second model tells apart worse."""
MEASURED = table(calibrate([SHARP], sizes=(1,), replicates=1).impostor)
SHORT: Quantiles = MEASURED[:3]
"""As measured on few people: it ends at one comparison in ten, and is gone on with steeply."""


def test_a_model_beside_itself_misses_no_more() -> None:
    same = ComparedModel.of(MEASURED, [SHARP])
    for each in compare_missed(same, same):
        assert each.before == each.after
        assert (each.low, each.high) == (0, 0)
        assert more_missed([each]) is None


def test_a_model_that_tells_people_apart_worse_misses_more() -> None:
    sharp, blurred = ComparedModel.of(MEASURED, [SHARP]), ComparedModel.of(MEASURED, [BLURRED])
    for each in compare_missed(sharp, blurred):
        assert each.after > each.before
        assert each.are_more
    assert not any(each.are_more for each in compare_missed(blurred, sharp))


def test_a_table_that_ends_early_misses_nearly_everybody_with_the_very_same_embeddings() -> None:
    """The fault that a fine-tune on 60 people had: ranks were better, and nobody was named."""
    assert SHORT[-1][0] == 0.1
    assert not supports_galleries(SHORT)
    ten, hundred = compare_missed(
        ComparedModel.of(MEASURED, [SHARP]), ComparedModel.of(SHORT, [SHARP])
    )
    assert (ten.enrolled, hundred.enrolled) == (10, 100)
    assert ten.are_more
    assert ten.before < 0.1
    assert hundred.after > hundred.before
    told = more_missed([ten, hundred])
    assert told is not None
    assert f"{10 * ten.after:.1f} of 10 missed, where that one misses {10 * ten.before:.1f}" in told
    assert "give --validate MOREPEOPLE" in told
    assert "--allow-fewer keeps it" in told


def test_what_chance_among_few_people_does_is_not_held_against_a_model() -> None:
    few, again = crowd(8, noise=0.7), crowd(8, noise=0.7, seed=0)
    order = np.arange(len(again.data))
    order[:3] = order[:3][::-1]  # one camera's three pictures, in another order
    again = type(again)(again.name, again.data, again.crops.take(order))
    for each in compare_missed(
        ComparedModel.of(MEASURED, [few]), ComparedModel.of(MEASURED, [again])
    ):
        assert not each.are_more


def test_people_trained_on_are_looked_for_by_the_photos_that_were_held_out() -> None:
    """The network knows the others by heart: one photo under each camera is what counts."""
    part = crowd(8, noise=0.7)
    people = People(part.crops.rows, part.data.labels, part.data.cameras, part.crops.qualities)
    aside = np.arange(len(part.data)) % 3 == 0
    made = photo_decisions(people.take(aside), people.take(~aside))
    assert made.similarity.shape == (8 * 3, 8 * 3 * 2)
    assert made.genuine.sum() == 8 * 3 * 2 * 2  # each photo with two of both other cameras
    assert made.impostor.sum() == 8 * 3 * 7 * 3 * 2
    same = ComparedModel(MEASURED, [made])
    assert not any(each.are_more for each in compare_missed(same, same))
