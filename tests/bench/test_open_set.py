"""The arithmetic behind the open-set benches, against the same in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from support.open_set_trials import (
    DEVICE,
    Comparison,
    Reweighing,
    draw,
    enrolments,
    scored,
    tried,
)
from support.score_norm import CohortNorm

from edge_reid.matching.vectors import unit_rows
from trainer.scoring.openset import Setup, open_set_trials
from trainer.scoring.ranking_metrics import People

PEOPLE = 30


@pytest.fixture
def people() -> People:
    """Thirty people under two cameras, three crops each; one camera's centre is another's."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(PEOPLE), 6)
    cameras = np.tile([0, 0, 0, 1, 1, 1], PEOPLE)
    rows = rng.normal(size=(PEOPLE, 16))[labels] + rng.normal(size=(len(labels), 16))
    return People(unit_rows(rows), labels, cameras, rng.uniform(0.2, 1, len(labels)))


def rows(count: int, seed: int) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(count, 8)))


@pytest.mark.parametrize("side", ["template", "probe", "both"])
@pytest.mark.parametrize("nearest", [None, 7])
def test_a_cohort_norm_is_the_mean_of_standard_scores(side: str, nearest: int | None) -> None:
    probes, templates, cohort = rows(3, 1), rows(4, 2), rows(20, 3)
    found = CohortNorm(cohort, side, nearest)(probes, templates)
    for i, probe in enumerate(probes):
        for j, template in enumerate(templates):
            asked = {"template": [template], "probe": [probe], "both": [probe, template]}[side]
            alike = [np.sort(cohort @ one)[::-1][:nearest] for one in asked]
            standard = [(probe @ template - a.mean()) / a.std() / 20 for a in alike]
            assert found[i, j] == pytest.approx(np.mean(standard), abs=1e-6)


def test_nobody_meets_a_template_of_the_camera_that_sees_them(people: People) -> None:
    enrolled = enrolments(people, shots=5)
    made = scored(people, enrolled, DEVICE)
    for number, templates in enumerate(enrolled.templates):
        assert set(people.labels[templates]) == {enrolled.labels[number]}
        assert made.track_labels[enrolled.tracks[number]] == enrolled.labels[number]
        assert len(set(people.cameras[templates])) == 1
        assert people.cameras[templates[0]] != enrolled.tracks[number] % 2


def test_rates_agree_with_the_trainers(people: People) -> None:
    trials = open_set_trials(people, Setup(shots=2, enrolled=8), draws=600)
    threshold = float(np.quantile(np.concatenate([trial.impostor for trial in trials]), 0.9))
    mine = []
    for seed in range(8):  # of one draw of templates alone the rates are off by a few points
        enrolled = enrolments(people, shots=2, seed=seed)
        draws = draw(enrolled, np.ones(PEOPLE), 8, 100, np.random.default_rng(seed))
        mine.append(tried(scored(people, enrolled, DEVICE), draws))
    assert all(found.fpir(found.threshold_at(0.1)) <= 0.1 for found in mine)
    fpir, fnir = ([getattr(one, rate)(threshold) for one in mine] for rate in ("fpir", "fnir"))
    theirs = [trial.fnir(threshold) for trial in trials]
    assert np.mean(fpir) == pytest.approx(0.1, abs=0.02)
    assert np.mean(fnir) == pytest.approx(np.mean(theirs), abs=0.03)


def test_people_drawn_anew_weigh_as_their_copies(people: People) -> None:
    enrolled = enrolments(people, shots=1)
    made = scored(people, enrolled, DEVICE)
    rng = np.random.default_rng(1)
    copies = np.bincount(rng.integers(0, PEOPLE, PEOPLE), minlength=PEOPLE).astype(float)
    whole = tried(made, draw(enrolled, np.ones(PEOPLE), 1, 0, rng))
    again = Reweighing(whole, PEOPLE)(copies)
    drawn = tried(made, draw(enrolled, copies, 1, 0, rng))
    threshold = drawn.threshold_at(0.02)
    assert again.threshold_at(0.02) == threshold
    assert again.fnir(threshold) == pytest.approx(drawn.fnir(threshold))
    assert again.fpir(threshold) == pytest.approx(drawn.fpir(threshold))


def test_one_template_is_fused_to_itself(people: People) -> None:
    enrolled = enrolments(people, shots=1)
    fused = scored(people, enrolled, Comparison("mean", fusion="weighted mean"))
    nearest = scored(people, enrolled, DEVICE)
    np.testing.assert_allclose(fused.similarity, nearest.similarity, atol=1e-6)
