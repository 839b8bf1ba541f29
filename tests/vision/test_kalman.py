"""The motion model: what it predicts, and that time is time however it is cut."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_reid.core.geometry import Box
from edge_reid.vision.kalman import VELOCITY_MEMORY_S, Motion, begin, correct, expected, predict

WALKER = Box(100, 50, 140, 150)


def walked(speed_px_s: float, *, seconds: float, step_s: float = 0.2) -> Motion:
    """The belief after watching somebody walk to the right."""
    motion = begin(WALKER)
    for index in range(1, round(seconds / step_s) + 1):
        moved = speed_px_s * step_s * index
        seen = Box(WALKER.x1 + moved, WALKER.y1, WALKER.x2 + moved, WALKER.y2)
        motion = correct(predict(motion, step_s), seen)
    return motion


def test_a_new_box_stays_where_it_was_seen() -> None:
    assert begin(WALKER).box == WALKER
    assert predict(begin(WALKER), 1.0).box == WALKER


def test_a_steady_walker_is_expected_where_he_will_be() -> None:
    motion = walked(80, seconds=4)
    vx, vy = motion.velocity_px_s
    assert vx == pytest.approx(80, rel=0.1)
    assert vy == pytest.approx(0, abs=1e-6)
    assert predict(motion, 0.2).box.x1 == pytest.approx(motion.box.x1 + 0.2 * vx, abs=1)


def test_a_box_that_is_only_predicted_does_not_run_away() -> None:
    motion = walked(80, seconds=4)
    vx, _ = motion.velocity_px_s
    travelled = predict(motion, 3600).box.x1 - motion.box.x1
    assert travelled == pytest.approx(vx * VELOCITY_MEMORY_S)


@settings(deadline=None)
@given(st.floats(0.001, 5), st.floats(0.001, 5))
def test_two_short_steps_are_one_long_step(first_s: float, second_s: float) -> None:
    start = walked(60, seconds=1)
    twice = predict(predict(start, first_s), second_s)
    once = predict(start, first_s + second_s)
    np.testing.assert_allclose(twice.mean, once.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(twice.covariance, once.covariance, rtol=1e-6, atol=1e-6)


def test_the_correction_is_the_textbook_one() -> None:
    motion, seen = predict(walked(60, seconds=1), 0.3), Box(120, 60, 170, 158)
    p, h = motion.covariance, np.eye(4, 6)
    noise = np.diag((np.array([0.05, 0.05, 0.1, 0.1]) * seen.height) ** 2)
    gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + noise)
    measured = np.array([145, 109, 50, 98])
    expected = motion.mean + gain @ (measured - h @ motion.mean)

    corrected = correct(motion, seen)
    np.testing.assert_allclose(corrected.mean, expected)
    np.testing.assert_allclose(corrected.covariance, (np.eye(6) - gain @ h) @ p, atol=1e-9)


def test_a_doubtful_detection_moves_the_box_less() -> None:
    motion, seen = predict(walked(60, seconds=1), 0.2), Box(200, 50, 240, 150)
    trusted, doubted = correct(motion, seen), correct(motion, seen, doubt=3.0)
    assert motion.box.x1 < doubted.box.x1 < trusted.box.x1


boxes = st.builds(
    Box.from_centre,
    st.floats(-1e3, 5e3),
    st.floats(-1e3, 5e3),
    st.floats(0, 2e3),
    st.floats(0, 2e3),
)


@settings(deadline=None)
@given(boxes, st.lists(st.tuples(boxes, st.floats(0, 100)), max_size=20))
def test_belief_stays_sound_whatever_is_seen(first: Box, seen: list[tuple[Box, float]]) -> None:
    """Finite, no negative size, and a covariance that is one."""
    motion = begin(first)
    for box, elapsed_s in seen:
        motion = correct(predict(motion, elapsed_s), box)
    edges = (motion.box.x1, motion.box.y1, motion.box.x2, motion.box.y2)
    assert all(math.isfinite(edge) for edge in edges)
    assert motion.mean[2] >= -1e-6
    assert motion.mean[3] >= -1e-6
    eigenvalues = np.linalg.eigvalsh(motion.covariance)
    assert eigenvalues.min() > -1e-9 * eigenvalues.max()


def test_what_is_expected_is_the_box_and_less_surely_the_longer_ago_it_was_seen() -> None:
    mean, soon = expected(predict(begin(WALKER), 0.2))
    _, late = expected(predict(begin(WALKER), 1.0))
    assert mean.tolist() == [120, 100, 40, 100]
    assert (late > soon).all()
    assert expected(begin(WALKER))[1][0] == pytest.approx(2 * 5.0**2), "of box and detection"
