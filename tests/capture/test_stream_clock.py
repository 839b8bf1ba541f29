"""The stream's clock against ours: waiting is lateness, and neither drift nor a leap is."""

from __future__ import annotations

import pytest

from edge_reid.capture.stream_judge import StreamClock, is_black, is_covered

PERIOD_S = 1 / 15


def test_a_picture_that_waits_is_late_by_as_much_and_keeps_its_time() -> None:
    clock = StreamClock()
    for number in range(150):
        clock.arrived(number * PERIOD_S, 100 + number * PERIOD_S)
    late_s = clock.arrived(150 * PERIOD_S, 100 + 150 * PERIOD_S + 3.0, is_waiting=True)
    assert late_s == pytest.approx(3.0, abs=0.01)
    assert clock.captured_s(150 * PERIOD_S) == pytest.approx(100 + 150 * PERIOD_S, abs=0.01)


@pytest.mark.parametrize("pace", [0.995, 1.005])
def test_a_camera_whose_clock_goes_wrong_is_never_late(pace: float) -> None:
    clock = StreamClock()
    lates_s = [
        clock.arrived(number * PERIOD_S * pace, number * PERIOD_S) for number in range(15 * 3600)
    ]
    assert max(lates_s) < 0.01


def test_a_backlog_that_a_camera_sends_first_settles_at_its_last_picture() -> None:
    clock = StreamClock()
    for number in range(30):  # two seconds of pictures within a tenth of a second
        clock.arrived(number * PERIOD_S, 50 + number * 0.003)
    after_s = [
        clock.arrived(number * PERIOD_S, 50 + 29 * 0.003 + (number - 29) * PERIOD_S)
        for number in range(30, 60)
    ]
    assert max(after_s) < 0.01


@pytest.mark.parametrize("leap_s", [-3600.0, -3.0, 5.0, 3600.0])
def test_a_clock_that_was_set_is_taken_as_it_is(leap_s: float) -> None:
    clock = StreamClock()
    for number in range(50):
        clock.arrived(1000 + number * PERIOD_S, number * PERIOD_S)
    after_s = [
        clock.arrived(1000 + leap_s + number * PERIOD_S, number * PERIOD_S)
        for number in range(50, 100)
    ]
    assert max(after_s) < 0.01
    assert clock.captured_s(1000 + leap_s + 99 * PERIOD_S) == pytest.approx(99 * PERIOD_S, abs=0.01)


def test_a_pause_of_the_camera_is_no_leap() -> None:
    clock = StreamClock()
    clock.arrived(10.0, 0.0)
    clock.arrived(10.1, 0.1)
    assert clock.arrived(18.1, 8.1) == 0.0


def test_black_and_covered_are_told_from_a_night_and_a_fog() -> None:
    night = bytes([18] * 9950 + [200] * 50)
    fog = bytes(range(120, 160)) * 250
    cloth = bytes(range(90, 97)) * 1400
    assert is_black(bytes([17] * 10_000), 32)
    assert not is_black(night, 32)
    assert is_covered(cloth)
    assert not is_covered(fog)
