"""FNIR at FPIR: by hand, by loops, and on simulated people."""

from __future__ import annotations

import numpy as np
import pytest

from edge_reid.core.config.vision_settings import EmbedSettings
from edge_reid.core.errors import TrainingError
from edge_reid.core.types import Embedding
from edge_reid.matching.fusion import mean_vector
from trainer.scoring.openset import Setup, Trial, fnir_at_fpir, open_set, open_set_trials
from trainer.scoring.ranking_metrics import People
from trainer.scoring.track_means import crops_per_track, mean_tracks, two_views


def unit_rows(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def simulated(people: int, cameras: int = 3, crops: int = 4, noise: float = 0.6) -> People:
    """Each person a direction, each crop that direction and noise; qualities at random."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(people), cameras * crops)
    directions = unit_rows(rng.normal(size=(people, 32)))
    spread = noise / np.sqrt(32) * rng.normal(size=(len(labels), 32)) * 2
    return People(
        unit_rows(directions[labels] + spread),
        labels,
        np.tile(np.repeat(np.arange(cameras), crops), people),
        rng.uniform(0.2, 0.9, len(labels)),
    )


def trial(own: list[float], rival: list[float], impostor: list[float]) -> Trial:
    arrays = (np.array(values, np.float32) for values in (own, rival, impostor))
    return Trial(*arrays, identities=2, templates=2)


def test_rates_by_hand() -> None:
    """At 0.5: of the impostors 0.5 and 0.9 pass. Of the enrolled, 0.4 is too low, 0.6 has a
    better rival, 0.7 an equal one: only 0.8 is named.
    """
    made = trial([0.4, 0.6, 0.7, 0.8], [0.1, 0.65, 0.7, 0.2], [0.1, 0.5, 0.9, 0.3])
    assert made.fpir(0.5) == 0.5
    assert made.fnir(0.5) == 0.75


def test_the_threshold_is_the_smallest_that_keeps_the_rate() -> None:
    impostors = np.linspace(0, 0.999, 1000)
    made = trial([0.99, 0.9895, 0.5], [0, 0, 0], impostors.tolist())
    threshold = made.threshold_at(0.01)  # ten may pass: 0.999 … 0.990, so 0.989 must not
    assert made.fpir(threshold) == 0.01
    assert made.fpir(float(np.nextafter(np.float32(threshold), np.float32(0)))) > 0.01
    point = fnir_at_fpir([made, made], 0.01)
    assert (point.threshold, point.fnir, point.fnir_spread) == (threshold, pytest.approx(1 / 3), 0)


def test_ties_at_the_threshold_do_not_pass_beyond_the_rate() -> None:
    made = trial([0.9], [0.0], [0.5] * 1000)
    assert made.fpir(made.threshold_at(0.01)) == 0.0


def test_a_rate_that_too_few_impostors_show_is_refused_with_the_number_needed() -> None:
    made = trial([0.9], [0.0], [0.5] * 999)
    with pytest.raises(TrainingError, match="FPIR 1 %: expected at least 1,000 .* got 999"):
        fnir_at_fpir([made], 0.01)
    outcome = open_set(simulated(30), Setup(probe="track"))
    assert outcome.points == ()
    assert ["FPIR 1 %" in line or "FPIR 0.1 %" in line for line in outcome.refused] == [True] * 2


@pytest.mark.parametrize("fusion", ["best", "mean"])
@pytest.mark.parametrize("probe", ["crop", "track"])
def test_a_trial_is_what_loops_find(fusion, probe) -> None:
    """The draw is repeated with the same generator, the similarities by plain loops."""
    people = simulated(9)
    (made,) = open_set_trials(people, Setup(2, fusion, probe, enrolled=4), draws=1, seed=5)

    rng = np.random.default_rng([5, 0])
    enrolled = rng.permutation(np.arange(9))[:4].tolist()
    watching = {who: rng.choice([0, 1, 2]) for who in enrolled}
    templates = {}
    for who in enrolled:
        elsewhere = np.flatnonzero((people.labels == who) & (people.cameras != watching[who]))
        chosen = people.embeddings[rng.permutation(elsewhere)[:2]]
        templates[who] = unit_rows(chosen.sum(axis=0)[None]) if fusion == "mean" else chosen
    looked_up = mean_tracks(people) if probe == "track" else people
    own, rival, impostor = [], [], []
    for vector, who, camera in zip(
        looked_up.embeddings, looked_up.labels, looked_up.cameras, strict=True
    ):
        best = {name: max(float(vector @ t) for t in rows) for name, rows in templates.items()}
        if who not in enrolled:
            impostor.append(max(best.values()))
        elif camera == watching[who]:
            own.append(best.pop(who))
            rival.append(max(best.values()))
    assert made.own.tolist() == pytest.approx(own, abs=1e-6)
    assert made.rival.tolist() == pytest.approx(rival, abs=1e-6)
    assert made.impostor.tolist() == pytest.approx(impostor, abs=1e-6)
    assert (made.identities, made.templates) == (4, 8)


def test_the_same_seed_draws_the_same_people() -> None:
    people = simulated(12)
    first, again, other = (
        open_set_trials(people, Setup(), draws=2, seed=seed) for seed in (1, 1, 2)
    )
    assert [t.own.tolist() for t in first] == [t.own.tolist() for t in again]
    assert [t.own.tolist() for t in first] != [t.own.tolist() for t in other]


def test_more_templates_miss_fewer_people() -> None:
    people = simulated(200, crops=6, noise=0.9)
    one, mean = (
        fnir_at_fpir(open_set_trials(people, Setup(shots, "mean", "crop")), 0.01)
        for shots in (1, 5)
    )
    assert mean.fnir < one.fnir


def test_who_was_seen_by_one_camera_is_never_enrolled() -> None:
    people = simulated(6)
    once = people.take((people.labels < 3) | (people.cameras == 0))
    (made,) = open_set_trials(once, Setup(enrolled=3), draws=1)
    assert len(made.impostor) == 3
    with pytest.raises(TrainingError, match="expected more than 4 people, 4 of them seen by two"):
        open_set_trials(once, Setup(enrolled=4))
    with pytest.raises(TrainingError, match="got 6 and 6"):
        open_set_trials(people, Setup(enrolled=6))


def test_alone_in_the_gallery_nobody_has_a_rival() -> None:
    (made,) = open_set_trials(simulated(4), Setup(enrolled=1), draws=1)
    assert np.isneginf(made.rival).all()


def test_a_track_is_the_mean_of_crops_evenly_spread() -> None:
    people = simulated(2, cameras=2, crops=11)
    tracks = mean_tracks(people)
    assert tracks.labels.tolist() == [0, 0, 1, 1]
    assert tracks.cameras.tolist() == [0, 1, 0, 1]
    chosen = 11 + np.linspace(0, 10, crops_per_track()).round().astype(int)
    expected = unit_rows((people.qualities[chosen] @ people.embeddings[chosen])[None])[0]
    assert tracks.embeddings[1].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_track_is_what_the_device_decides_by() -> None:
    """The same crops as the agent holds them, through the agent's own function: the same bits."""
    people = simulated(3, crops=4)
    tracks = mean_tracks(people)
    for track, label, camera in zip(tracks.embeddings, tracks.labels, tracks.cameras, strict=True):
        rows = np.flatnonzero((people.labels == label) & (people.cameras == camera))
        crops = [
            Embedding(people.embeddings[row], "model", float(people.qualities[row])) for row in rows
        ]
        assert np.array_equal(track, mean_vector(crops, "model"))


def test_a_track_whose_crops_point_nowhere_is_like_nobody() -> None:
    crops = np.array([[1, 0], [-1, 0]], np.float32)
    tracks = mean_tracks(People(crops, np.array([0, 0]), np.array([1, 1]), np.ones(2)))
    assert tracks.embeddings.tolist() == [[0, 0]]


def test_as_many_crops_make_a_track_as_the_agent_keeps_by_default() -> None:
    assert crops_per_track() == EmbedSettings().crops_per_track


def test_halves_stand_for_two_cameras() -> None:
    assert two_views(np.array([3, 3, 3, 5, 5])).tolist() == [0, 1, 1, 0, 1]
