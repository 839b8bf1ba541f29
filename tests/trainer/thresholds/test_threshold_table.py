"""Quantiles with intervals over people, what is refused, and whether the promise holds."""

from __future__ import annotations

import numpy as np
import pytest
from support.threshold_examples import crowd, manifest

from edge_reid.core.errors import TrainingError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.threshold import threshold_for
from trainer.thresholds import comparisons as comparing
from trainer.thresholds.comparisons import LOOKALIKES_BEYOND, comparisons_of, draw_people, joined
from trainer.thresholds.similarities import GRID, decisions
from trainer.thresholds.threshold_crossval import cross_check
from trainer.thresholds.threshold_table import calibrate, table


def test_every_comparison_is_there_with_its_people() -> None:
    part = crowd(4, cameras=2, crops=2)
    made = decisions(part.data, part.crops)
    impostors = comparisons_of(made, genuine=False)
    assert impostors.count == 8 * 12  # 4 people × 2 tracks, each with 12 pictures of others
    assert impostors.weights.tolist() == pytest.approx([1 / 96] * 96)
    assert (np.diff(impostors.similarities) <= 0).all()
    assert (impostors.first != impostors.second).all()
    same = comparisons_of(made, genuine=True)
    assert same.count == 8 * 2
    assert (np.diff(same.similarities) >= 0).all()
    assert (same.first == same.second).all()


def test_a_person_of_many_pictures_weighs_no_more_than_another() -> None:
    part = crowd(2, cameras=2, crops=4)
    few = np.flatnonzero((part.data.labels == 0) | (np.arange(16) % 4 == 0))
    made = decisions(part.data.take(few), part.crops.take(few))
    same = comparisons_of(made, genuine=True)
    assert [same.weights[same.first == who].sum() for who in (0, 1)] == pytest.approx([0.5, 0.5])
    assert sorted(np.bincount(same.first).tolist()) == [2, 8]


def test_thinning_the_bulk_keeps_the_tail_and_the_quantiles(monkeypatch) -> None:
    part = crowd(60)
    made = decisions(part.data, part.crops)
    whole = comparisons_of(made, genuine=False)
    monkeypatch.setattr(comparing, "_KEPT_WHOLE", 2_000)
    thin = comparisons_of(made, genuine=False)
    assert len(thin.similarities) < len(whole.similarities) / 5
    assert thin.weights.sum() == pytest.approx(1)
    assert thin.similarities[:2_000].tolist() == whole.similarities[:2_000].tolist()
    assert thin.quantiles(thin.weights) == pytest.approx(whole.quantiles(whole.weights), abs=0.002)


def test_data_sets_weigh_the_same_whatever_their_size() -> None:
    parts = [
        comparisons_of(decisions(part.data, part.crops), genuine=False)
        for part in (crowd(5), crowd(40, seed=1))
    ]
    both = joined(parts)
    assert both.people == (5, 40)
    assert both.count == parts[0].count + parts[1].count
    assert both.weights[both.first < 5].sum() == pytest.approx(0.5)
    assert (both.first < 5).tolist() == (both.second < 5).tolist()


def test_weights_redrawn_are_those_of_people_copied() -> None:
    """A person drawn twice is two people; a copy is no impostor to its original."""
    part = crowd(3, cameras=2, crops=1)
    impostors = comparisons_of(decisions(part.data, part.crops), genuine=False)
    copies = np.array([2, 1, 0])
    redrawn = impostors.redrawn(copies)
    for weight, old, a, b in zip(
        redrawn, impostors.weights, impostors.first, impostors.second, strict=True
    ):
        assert weight == pytest.approx(old * copies[a] * copies[b])
    assert (redrawn > 0).sum() == 4 + 4  # only 0 with 1 and 1 with 0: 2 tracks × 2 pictures each
    assert draw_people((3, 5), np.random.default_rng(0)).shape == (8,)


def test_quantiles_are_those_of_all_comparisons() -> None:
    part = crowd(50)
    found = calibrate([part], replicates=20)
    made = decisions(part.data, part.crops)
    falling = np.sort(made.similarity[made.impostor])[::-1]
    for each in found.impostor:
        expected = falling[max(int(np.ceil(each.p * len(falling) - 1e-6)), 1) - 1]
        assert each.similarity == pytest.approx(expected)
        assert each.low <= each.similarity <= each.high
        pairs = {
            tuple(sorted((a, b)))
            for a, b in zip(
                made.tracks.labels[np.nonzero(made.impostor & (made.similarity > expected))[0]],
                made.templates.labels[np.nonzero(made.impostor & (made.similarity > expected))[1]],
                strict=True,
            )
        }
        assert each.lookalikes - len(pairs) in (0, 1)  # the pair at the quantile itself


def test_what_few_people_cannot_show_is_refused_and_says_how_many_are_needed() -> None:
    found = calibrate([crowd(30)], replicates=5)
    supported = table(found.impostor)
    assert all(each.lookalikes >= LOOKALIKES_BEYOND for each in found.impostor if each.is_supported)
    refused = [each for each in found.impostor if not each.is_supported]
    assert refused
    assert len(supported) + len(refused) == len(GRID)
    assert refused[0].people_needed > 30
    needed = [each.people_needed for each in refused]
    assert needed == sorted(needed)
    more = calibrate([crowd(refused[0].people_needed * 2, seed=3)], replicates=1)
    assert len(table(more.impostor)) > len(supported)


@pytest.mark.parametrize(
    ("people", "crops", "message"),
    [
        (3, 3, "got 3 people; use data of more people"),
        (1, 3, "expected several people, got none among 1"),
    ],
)
def test_too_few_people_are_an_error(people: int, crops: int, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        calibrate([crowd(people, crops=crops)], replicates=2)


def test_people_seen_once_show_nothing_genuine() -> None:
    with pytest.raises(TrainingError, match="expected people seen by two cameras"):
        calibrate([crowd(20, cameras=1, crops=1)], replicates=2)


def test_the_same_data_give_the_same_table() -> None:
    assert calibrate([crowd(25)], replicates=5) == calibrate([crowd(25)], replicates=5)


def test_forecasts_follow_the_agents_own_threshold() -> None:
    found = calibrate([crowd(60)], replicates=20)
    quantiles = table(found.impostor)
    for each in found.forecasts:
        assert each.threshold == threshold_for(quantiles, each.target_fpir, each.people)
        assert each.measured == (
            1 - (1 - each.target_fpir) ** (1 / each.people) >= quantiles[-1][0]
        )
        assert each.fnir_low <= each.fnir_high
    at_one_percent = [each.fnir for each in found.forecasts if each.target_fpir == 0.01]
    assert at_one_percent == sorted(at_one_percent)  # more people, more of them missed


def test_the_promise_holds_for_people_not_calibrated_on() -> None:
    """Impostors of the other half are taken for somebody about as often as was accepted."""
    outcomes = cross_check(crowd(160, noise=0.9), (1, 10, 30), halvings=6)
    loose = [each for each in outcomes if each.target_fpir == 0.01]
    assert [each.people for each in loose] == [1, 10, 30]
    for each in loose:
        assert each.fpir == pytest.approx(0.01, abs=0.007)
        assert each.fnir == pytest.approx(each.fnir_forecast, abs=0.12)


def test_it_is_written_into_the_manifest() -> None:
    found = calibrate([crowd(30, known_cameras=False)], replicates=5)
    written = found.written_into(manifest())
    assert written.impostor_quantiles == table(found.impostor)
    assert written.genuine_quantiles == table(found.genuine)
    assert written.model_id == manifest().model_id
    assert written.calibration is not None
    assert (written.calibration.people, written.calibration.cameras_known) == (30, False)
    assert [p for p, _, _ in written.calibration.impostor_intervals] == [
        p for p, _ in written.impostor_quantiles
    ]
    again = EmbeddingManifest.model_validate_json(written.model_dump_json())
    assert again == written
