import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_reid.agent.pipeline import Cadence


def dues(rate_hz: float, fps: float, frames: int) -> list[int]:
    cadence = Cadence(rate_hz)
    return [index for index in range(frames) if cadence.due(index / fps)]


def test_five_times_a_second_of_ten_frames_is_every_second_frame():
    assert dues(rate_hz=5, fps=10, frames=10) == [0, 2, 4, 6, 8]


def test_a_rate_that_does_not_divide_the_frame_rate_is_kept_on_average():
    assert len(dues(rate_hz=4, fps=10, frames=100)) == 40


def test_a_rate_above_the_frame_rate_makes_every_frame_due():
    assert dues(rate_hz=120, fps=10, frames=5) == [0, 1, 2, 3, 4]


def test_after_a_pause_there_is_no_burst():
    cadence = Cadence(5)
    assert cadence.due(0.0)
    moments = [60.0, 60.1, 60.2, 60.3, 60.4]
    assert [cadence.due(moment) for moment in moments] == [True, False, True, False, True]


def test_a_clock_that_is_set_back_blinds_nobody():
    """By an hour, and then it goes on; the grid begins anew where it stands now."""
    cadence = Cadence(5)
    assert cadence.due(10_000.0)
    moments = [6_400.0, 6_400.1, 6_400.2, 6_400.3, 6_400.4]
    assert [cadence.due(moment) for moment in moments] == [True, False, True, False, True]


def test_a_frame_that_comes_a_little_early_is_not_due_twice():
    """Many frames fit into the hundredth of the period by which one may be early."""
    assert len(dues(rate_hz=0.1, fps=25, frames=990)) == 4


@given(st.floats(1, 30), st.floats(5, 60))
def test_never_more_often_than_asked(rate_hz: float, fps: float):
    seconds = 20
    frames = int(seconds * fps)
    expected = min(rate_hz, fps) * seconds
    assert len(dues(rate_hz, fps, frames)) == pytest.approx(expected, rel=0.05, abs=2)
