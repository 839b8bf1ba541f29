"""Pauses between attempts to connect."""

from __future__ import annotations

from edge_reid.mqtt.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(1.0, 10.0)
    pauses_s = [backoff.pause_s() for _ in range(6)]
    for pause_s, full_s in zip(pauses_s, (1, 2, 4, 8, 10, 10), strict=True):
        assert full_s / 2 <= pause_s <= full_s


def test_a_fleet_does_not_come_back_all_at_once() -> None:
    assert len({Backoff(1.0, 10.0).pause_s() for _ in range(20)}) > 15


def test_what_went_well_for_longer_than_the_longest_pause_begins_anew() -> None:
    backoff = Backoff(1.0, 10.0)
    for _ in range(5):
        backoff.pause_s(lasted_s=10.0)
    assert backoff.pause_s() >= 5
    assert backoff.pause_s(lasted_s=10.1) <= 1


def test_so_does_what_is_asked_for_at_once() -> None:
    backoff = Backoff(1.0, 10.0)
    for _ in range(5):
        backoff.pause_s()
    backoff.reset()
    assert backoff.pause_s() <= 1


def test_years_of_failures_are_no_number_too_large() -> None:
    backoff = Backoff(1.0, 10.0)
    assert max(backoff.pause_s() for _ in range(5000)) <= 10
