"""What a live camera's status says of its looks."""

from __future__ import annotations

from edge_reid.agent.look_pace import LookPace
from edge_reid.agent.look_record import LookRecord
from edge_reid.agent.look_schedule import FrameCount


def record(wanted_hz: float = 5.0) -> LookRecord:
    return LookRecord("gate", wanted_hz, LookPace(500.0), lambda: FrameCount(came=90, missed=4))


def test_a_camera_that_nobody_has_looked_at_is_not_degraded() -> None:
    report = record().report
    assert (report.is_degraded, report.p95_ms, report.present_hz) == (False, None, 0.0)


def test_it_tells_how_late_looks_are_and_apart_from_them_those_that_brought_events() -> None:
    looks = record()
    for number in range(20):
        looks.note(0.1, waited_s=0.01, brought_events=number == 0)
    looks.note(0.2, waited_s=0.0, brought_events=True)
    report = looks.report
    assert (report.p50_ms, report.missed, report.is_degraded) == (100.0, 4, False)
    assert report.events_p95_ms == 195.0


def test_a_camera_that_mostly_waits_for_its_turn_is_degraded_though_no_frame_is_late() -> None:
    looks = record()
    for _ in range(20):
        looks.note(0.1, waited_s=0.15, brought_events=False)
    assert looks.report.is_degraded
    assert looks.period_s == 0.2, "nothing is given up for it"


def test_what_the_pace_gives_up_is_told() -> None:
    looks = record()
    for _ in range(200):
        looks.note(0.9, waited_s=0.0, brought_events=False)
    report = looks.report
    assert report.is_degraded
    assert looks.period_s > 0.2
    seldom = record(wanted_hz=1.0)
    seldom.note(0.1, waited_s=0.0, brought_events=False)
    assert not seldom.report.is_degraded


def test_a_camera_that_mostly_has_no_time_to_tell_who_is_who_is_degraded_and_counts() -> None:
    looks = record()
    for number in range(20):
        looks.note(0.1, waited_s=0.0, brought_events=False, uncompared=3 if number % 3 else 0)
    report = looks.report
    assert (report.uncompared, report.is_degraded) == (39, True)
    for _ in range(20):
        looks.note(0.1, waited_s=0.0, brought_events=False)
    assert (looks.report.uncompared, looks.report.is_degraded) == (39, False)
