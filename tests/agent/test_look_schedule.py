"""Whose turn it is: the most overdue of those whose newest frame waits."""

from __future__ import annotations

import threading
import time

import pytest
from support.set_clock import Clock

from edge_reid.agent.look_schedule import FrameCount, LookSchedule


def look_at(schedule: LookSchedule, camera: str) -> None:
    """Five times a second, and done at once."""
    schedule.taken(camera, 0.2)
    schedule.done(camera)


def looks_within(
    schedule: LookSchedule, clock: Clock, *, fps: dict[str, float], seconds: float, look_s: float
) -> list[str]:
    """Cameras give frames; a look takes `look_s` and is wanted five times a second."""
    frames = sorted(
        (clock.now_s + number / rate, name)
        for name, rate in fps.items()
        for number in range(round(seconds * rate))
    )
    looked: list[str] = []
    busy_until_s = clock.now_s
    for at_s, name in frames:
        while busy_until_s <= at_s:
            clock.now_s = max(clock.now_s, busy_until_s)
            look = schedule.next(0.0)
            if look is None:
                break
            look_at(schedule, look.camera)
            looked.append(look.camera)
            busy_until_s = clock.now_s + look_s
        clock.now_s = at_s
        schedule.frame_came(name)
    return looked


@pytest.mark.parametrize("fps", [10.0, 15.0, 25.0])
def test_a_machine_with_time_to_spare_looks_as_often_as_is_wanted(fps: float) -> None:
    clock = Clock(100.0)
    schedule = LookSchedule(["a", "b"], clock)
    looked = looks_within(schedule, clock, fps={"a": fps, "b": fps}, seconds=20, look_s=0.01)
    assert looked.count("a") == pytest.approx(100, abs=6)
    assert looked.count("b") == pytest.approx(100, abs=6)
    assert schedule.count("a").missed == 0


def test_a_machine_that_is_too_slow_is_shared_evenly_whatever_the_frame_rates() -> None:
    clock = Clock(100.0)
    schedule = LookSchedule(["a", "b", "c", "d"], clock)
    fps = {"a": 30.0, "b": 15.0, "c": 10.0, "d": 25.0}
    looked = looks_within(schedule, clock, fps=fps, seconds=30, look_s=0.1)
    shares = [looked.count(name) for name in "abcd"]
    assert sum(shares) == pytest.approx(300, rel=0.1)
    assert max(shares) - min(shares) <= 0.2 * max(shares)
    assert schedule.count("a").missed > 0


def test_a_camera_that_is_away_takes_nothing_from_the_others() -> None:
    clock = Clock(100.0)
    schedule = LookSchedule(["away", "here"], clock)
    looked = looks_within(schedule, clock, fps={"here": 15.0}, seconds=10, look_s=0.05)
    assert set(looked) == {"here"}
    assert len(looked) == pytest.approx(50, abs=4)


def test_one_that_comes_back_gets_one_turn_at_once_and_no_more_than_others() -> None:
    clock = Clock(100.0)
    schedule = LookSchedule(["gate", "door"], clock)
    clock.now_s += 600
    schedule.frame_came("gate")
    look = schedule.next(0.0)
    assert look is not None
    assert (look.camera, look.waited_s) == ("gate", 0.0), "it was away; it did not wait"
    look_at(schedule, "gate")
    schedule.frame_came("gate")
    assert schedule.next(0.0) is None, "it is not due again yet"


def test_a_frame_between_two_looks_is_passed_over_and_one_that_had_to_wait_is_missed() -> None:
    clock = Clock(100.0)
    schedule = LookSchedule(["gate"], clock)
    schedule.frame_came("gate")
    look_at(schedule, "gate")
    clock.now_s += 0.07
    schedule.frame_came("gate")
    assert schedule.count("gate") == FrameCount(came=2, missed=0, silent_s=0.0)
    clock.now_s += 0.14
    schedule.frame_came("gate")
    clock.now_s += 0.07
    schedule.frame_came("gate")
    assert schedule.count("gate") == FrameCount(came=4, missed=1, silent_s=0.0)
    look = schedule.next(0.0)
    assert look is not None
    assert look.waited_s == pytest.approx(0.07)


def test_a_frame_of_another_thread_wakes_who_waits() -> None:
    schedule = LookSchedule(["gate"])
    threading.Timer(0.05, schedule.frame_came, ["gate"]).start()
    began_s = time.monotonic()
    look = schedule.next(20.0)
    assert look is not None
    assert time.monotonic() - began_s < 10


def test_a_camera_is_silent_since_its_last_frame_whenever_it_was_looked_at() -> None:
    clock = Clock(100.0)
    schedule = LookSchedule(["gate"], clock)
    assert schedule.count("gate").silent_s is None
    schedule.frame_came("gate")
    clock.now_s += 3
    assert schedule.count("gate").silent_s == 3.0
    look_at(schedule, "gate")
    assert schedule.count("gate").silent_s == 3.0


def test_a_camera_in_hand_has_no_other_turn_and_no_more_are_in_hand_than_can_be_looked_at() -> None:
    clock = Clock(100.0)
    schedule = LookSchedule(["gate", "door", "yard"], clock, at_once=2)
    for name in ("gate", "door", "yard"):
        clock.now_s += 0.01
        schedule.frame_came(name)
    assert turn_of(schedule) == "gate"
    schedule.taken("gate", 0.2)
    clock.now_s += 1.0
    schedule.frame_came("gate")
    assert turn_of(schedule) == "door", "gate is in hand, and most overdue"
    schedule.taken("door", 0.2)
    assert turn_of(schedule) is None, "though yard waits"
    schedule.done("door")
    assert turn_of(schedule) == "yard"
    schedule.taken("yard", 0.2)
    schedule.done("gate")
    assert turn_of(schedule) == "gate"


def turn_of(schedule: LookSchedule) -> str | None:
    look = schedule.next(0.0)
    return look.camera if look else None


def test_who_waits_for_a_turn_is_woken_once_whether_or_not_a_camera_is_due() -> None:
    schedule = LookSchedule(["gate"])
    threading.Timer(0.05, schedule.wake).start()
    began_s = time.monotonic()
    assert schedule.next(20.0) is None
    assert time.monotonic() - began_s < 10
    schedule.wake()
    schedule.frame_came("gate")
    assert turn_of(schedule) is None, "there is something else to see to first"
    assert turn_of(schedule) == "gate"
