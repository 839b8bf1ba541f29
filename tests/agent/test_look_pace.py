"""What is given up when frames get too old, and how it comes back."""

from __future__ import annotations

from collections.abc import Callable

from support.set_clock import Clock

from edge_reid.agent.look_pace import CONCESSIONS, FLOOR_HZ, LookPace

PROMISE_MS = 500.0


class Machine:
    """Four cameras that are looked at as often as the pace allows."""

    def __init__(self, took_ms: Callable[[float, int | None], float]) -> None:
        self.clock = Clock(100.0)
        self.pace = LookPace(PROMISE_MS, self.clock)
        self.took_ms = took_ms
        """By looks a second of a camera, and the crops that a look may embed."""
        self.late_ms: dict[str, float] = {}
        """Of cameras whose network is slow, whatever the machine does."""

    def run(self, seconds: float) -> None:
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            rate_hz = self.pace.rate_hz(5.0)
            self.clock.now_s += 1 / rate_hz
            for camera in ("gate", "door", "yard", "pond"):
                took_ms = self.took_ms(rate_hz, self.pace.concession.crops_per_look)
                self.pace.note(camera, self.late_ms.get(camera, took_ms))


def test_while_the_promise_is_kept_nothing_is_given_up() -> None:
    machine = Machine(lambda *_: 450.0)
    machine.run(120)
    assert machine.pace.concession is CONCESSIONS[0]
    assert machine.pace.rate_hz(5.0) == 5.0


def test_looks_are_given_up_first_and_only_as_many_as_needed() -> None:
    machine = Machine(lambda rate_hz, _: 900.0 if rate_hz > 3 else 400.0)
    machine.run(30)
    assert machine.pace.rate_hz(5.0) == 3.0
    assert machine.pace.concession.crops_per_look is None


def test_crops_are_given_up_last_and_looks_never_below_the_floor() -> None:
    machine = Machine(lambda *_: 5000.0)
    machine.run(120)
    assert machine.pace.rate_hz(5.0) == FLOOR_HZ
    assert machine.pace.concession.crops_per_look == 1


def test_a_camera_that_wants_less_than_the_floor_gets_what_it_wants() -> None:
    machine = Machine(lambda *_: 5000.0)
    machine.run(120)
    assert machine.pace.rate_hz(1.0) == 1.0


def test_all_comes_back_once_there_is_time_to_spare() -> None:
    machine = Machine(lambda *_: 5000.0)
    machine.run(60)
    machine.took_ms = lambda *_: 100.0
    machine.run(120)
    assert machine.pace.concession is CONCESSIONS[0]


def test_it_does_not_swing_where_the_next_step_up_is_too_much() -> None:
    machine = Machine(lambda rate_hz, _: 900.0 if rate_hz > 3 else 100.0)
    changes, before = 0, machine.pace.concession
    for _ in range(1200):
        machine.run(1)
        changes += machine.pace.concession is not before
        before = machine.pace.concession
    assert changes < 16, "in 20 minutes: each step that proves too early doubles the pause"


def test_a_single_late_frame_changes_nothing() -> None:
    machine = Machine(lambda *_: 100.0)
    machine.run(10)
    machine.pace.note("gate", 3000.0)
    assert machine.pace.concession is CONCESSIONS[0]


def test_one_camera_with_a_slow_network_costs_the_others_nothing() -> None:
    machine = Machine(lambda *_: 100.0)
    machine.late_ms["gate"] = 2000.0
    machine.run(120)
    assert machine.pace.concession is CONCESSIONS[0]


def test_an_only_camera_is_most_of_them() -> None:
    clock = Clock(100.0)
    pace = LookPace(PROMISE_MS, clock)
    for _ in range(20):
        clock.now_s += 0.2
        pace.note("gate", 900.0)
    assert pace.rate_hz(5.0) < 5.0
