"""What a student learns of its teachers' answers: cameras taken out, people put in."""

from __future__ import annotations

import numpy as np
import pytest

from edge_reid.matching.vectors import unit_rows
from trainer.recipe.target_settings import Targets
from trainer.teacher.student_targets import Seen, targets_of

PEOPLE, EACH, WIDE = 60, 5, 32
LEFT, RIGHT = 3, 8


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Sixty people, each on five pictures by two cameras."""
    people = np.repeat(np.arange(PEOPLE), 2 * EACH)
    cameras = np.tile(np.repeat([LEFT, RIGHT], EACH), PEOPLE)
    return Seen(cameras, people)


@pytest.fixture(scope="module")
def answers(seen: Seen) -> np.ndarray:
    """A teacher's: mostly the person, something of the camera, a little of the picture."""
    rng = np.random.default_rng(3)
    person = unit_rows(rng.normal(size=(PEOPLE, WIDE)))
    camera = {LEFT: unit_rows(rng.normal(size=(1, WIDE)))[0], RIGHT: np.zeros(WIDE)}
    casts = np.stack([camera[number] for number in seen.cameras])
    noise = 0.05 * rng.normal(size=(len(seen.people), WIDE))
    return unit_rows(person[seen.people] + 0.8 * casts + noise)


def closeness(rows: np.ndarray, chosen: np.ndarray) -> float:
    """Mean cosine of the pairs (N, N) that are chosen."""
    return float((rows @ rows.T)[chosen].mean())


def test_by_default_the_answers_are_learnt_as_they_are(answers: np.ndarray, seen: Seen) -> None:
    np.testing.assert_array_equal(targets_of(answers, seen, Targets()), answers)


def test_strangers_of_one_camera_are_no_longer_more_alike(answers: np.ndarray, seen: Seen) -> None:
    strangers = seen.people[:, None] != seen.people
    one_camera = seen.cameras[:, None] == seen.cameras
    left = one_camera & (seen.cameras == LEFT)
    learnt = targets_of(answers, seen, Targets(camera=1.0))
    before = closeness(answers, strangers & left) - closeness(answers, strangers & ~one_camera)
    after = closeness(learnt, strangers & left) - closeness(learnt, strangers & ~one_camera)
    assert before > 0.2
    assert abs(after) < before / 4
    same = ~strangers & ~one_camera
    assert closeness(learnt, same) > closeness(answers, same) + 0.1


def test_a_camera_s_mean_becomes_that_of_all(answers: np.ndarray, seen: Seen) -> None:
    """Before the rows are brought to unit norm, and up to what 300 pictures are believed."""
    of_left, believed = seen.cameras == LEFT, 300 / 320
    offset = believed * (answers[of_left].mean(axis=0) - answers.mean(axis=0))
    expected = unit_rows(answers[of_left] - offset)
    learnt = targets_of(answers, seen, Targets(camera=1.0))
    np.testing.assert_allclose(learnt[of_left], expected, atol=1e-6)


def test_half_of_it_is_half_of_the_way(answers: np.ndarray, seen: Seen) -> None:
    cosine = [
        float(np.mean(np.sum(answers * targets_of(answers, seen, Targets(camera=share)), axis=1)))
        for share in (0.0, 0.5, 1.0)
    ]
    assert cosine[0] > cosine[1] > cosine[2]


def test_a_camera_of_few_pictures_is_hardly_moved(answers: np.ndarray, seen: Seen) -> None:
    """The mean of one person's five pictures says who it is, and must not be taken out."""
    lonely = np.where(np.arange(len(seen.people)) < EACH, 11, seen.cameras)
    learnt = targets_of(answers, Seen(lonely, seen.people), Targets(camera=1.0))
    assert np.sum(answers[:EACH] * learnt[:EACH], axis=1).min() > 0.95


def test_where_nobody_knows_the_camera_nothing_is_taken_out(
    answers: np.ndarray, seen: Seen
) -> None:
    unknown = Seen(np.full_like(seen.cameras, -1), seen.people)
    learnt = targets_of(answers, unknown, Targets(camera=1.0))
    np.testing.assert_allclose(learnt, answers, atol=1e-6)


def test_answers_move_to_the_person_s_mean_in_which_each_camera_counts_once(
    answers: np.ndarray, seen: Seen
) -> None:
    """The second person loses four of five pictures on the left: its mean stays between both."""
    rows = np.flatnonzero(seen.people == 1)
    kept = np.setdiff1d(np.arange(len(answers)), rows[1:EACH])
    fewer = Seen(seen.cameras[kept], seen.people[kept])
    learnt = targets_of(answers[kept], fewer, Targets(identity=1.0))
    mean = answers[rows[0]] + answers[rows[EACH:]].mean(axis=0)
    np.testing.assert_allclose(
        learnt[fewer.people == 1], unit_rows(mean[None]).repeat(6, 0), atol=1e-5
    )


def test_pictures_without_labels_keep_their_own_answers(answers: np.ndarray, seen: Seen) -> None:
    nobody = np.where(seen.people == 2, -1, seen.people)
    learnt = targets_of(answers, Seen(seen.cameras, nobody), Targets(identity=0.5))
    np.testing.assert_array_equal(learnt[nobody < 0], answers[nobody < 0])
    assert not np.allclose(learnt[nobody >= 0], answers[nobody >= 0])


def test_what_a_teacher_was_not_asked_about_counts_nowhere(answers: np.ndarray, seen: Seen) -> None:
    some = answers.copy()
    some[::7] = 0.0
    asked = np.any(some != 0, axis=1)
    settings = Targets(camera=1.0, identity=0.5)
    learnt = targets_of(some, seen, settings)
    assert not learnt[::7].any()
    alone = targets_of(some[asked], Seen(seen.cameras[asked], seen.people[asked]), settings)
    np.testing.assert_allclose(learnt[asked], alone, atol=1e-6)


@pytest.mark.parametrize("settings", [Targets(camera=1.0), Targets(identity=0.5)])
def test_where_nobody_is_labelled_or_nothing_is_said_there_is_nothing_to_move(
    answers: np.ndarray, seen: Seen, settings: Targets
) -> None:
    nobody = Seen(seen.cameras, np.full_like(seen.people, -1))
    assert targets_of(answers, nobody, settings).shape == answers.shape
    assert not targets_of(np.zeros_like(answers), seen, settings).any()
