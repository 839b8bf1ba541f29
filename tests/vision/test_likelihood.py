"""What is likely of a detection: the person of a track, or somebody who is not followed."""

import numpy as np

from edge_reid.core.geometry import Box
from edge_reid.core.types import Detection
from edge_reid.vision.kalman import Motion, begin, predict
from edge_reid.vision.likelihood import log_ratios

WALKER = Box(100, 50, 140, 150)


def ratio(
    motion: Motion, *detected: Box, unseen_s: float = 0.0, score: float = 0.9
) -> tuple[float, ...]:
    """Of each box, if it is of this track."""
    found = [Detection(box, score) for box in detected]
    return tuple(log_ratios([motion], [unseen_s], found, strong_score=0.5)[0].tolist())


def test_who_is_where_they_are_expected_is_likelier_than_anybody_else_and_far_away_is_not() -> None:
    motion = predict(begin(WALKER), 0.2)
    here, near, far = ratio(motion, WALKER, WALKER.shifted(30, 0), WALKER.shifted(400, 0))
    assert here > near > 0 > far


def test_after_a_pause_the_same_step_is_less_surprising_and_the_same_place_tells_less() -> None:
    step = WALKER.shifted(60, 0)
    soon, late = predict(begin(WALKER), 0.1), predict(begin(WALKER), 0.5)
    assert ratio(soon, step) < ratio(late, step)
    assert ratio(soon, WALKER) > ratio(late, WALKER)


def test_who_was_lost_for_long_has_a_lesser_claim() -> None:
    motion = begin(WALKER)
    assert ratio(motion, WALKER, unseen_s=2.0) < ratio(motion, WALKER)


def test_who_was_lost_for_hours_has_hardly_a_claim_and_it_can_be_computed() -> None:
    """As long as a track may be lost by the settings."""
    with np.errstate(all="raise", under="ignore"):
        (hours,) = ratio(begin(WALKER), WALKER, unseen_s=9000.0)
        (minute,) = ratio(begin(WALKER), WALKER, unseen_s=60.0)
    assert -np.inf < hours < minute


def test_a_weak_detection_is_oftener_of_nobody() -> None:
    motion = begin(WALKER)
    assert ratio(motion, WALKER, score=0.4) < ratio(motion, WALKER)


def test_who_stands_behind_somebody_is_seldom_found() -> None:
    in_front = Box(95, 60, 145, 200)
    hidden, _ = ratio(begin(WALKER), WALKER, in_front)
    behind, _ = ratio(begin(WALKER), WALKER, Box(95, 20, 145, 140))
    assert hidden < behind == ratio(begin(WALKER), WALKER)[0]


def test_a_box_of_twice_the_height_is_somebody_else() -> None:
    assert ratio(begin(WALKER), Box(80, -50, 160, 150)) == (-np.inf,)


def test_nobody_and_nothing_have_no_ratios() -> None:
    assert log_ratios([], [], [Detection(WALKER, 0.9)], strong_score=0.5).shape == (0, 1)
    assert log_ratios([begin(WALKER)], [0.0], [], strong_score=0.5).shape == (1, 0)
