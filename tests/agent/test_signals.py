"""Ctrl-C at the worst moment: a decision is made, its event is not yet told."""

from __future__ import annotations

import signal

import pytest

from edge_reid.agent import signals as stop_signals
from edge_reid.agent.signals import StopSignals


def test_an_interrupt_waits_until_the_frame_in_hand_is_told():
    told = []
    with StopSignals() as signals, pytest.raises(KeyboardInterrupt):
        handle_a_frame(signals, told)
    assert told == ["hit"]


def handle_a_frame(signals: StopSignals, told: list[str], interrupted: int = 1) -> None:
    """Decide about a track, be interrupted, tell the hit."""
    with signals.held():
        for _ in range(interrupted):
            signal.raise_signal(signal.SIGINT)
        told.append("hit")
    told.append("never")


def test_sigterm_leaves_like_ctrl_c_and_is_no_failure():
    with StopSignals() as signals, pytest.raises(SystemExit) as left, signals.held():
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 0


def test_between_frames_nobody_waits():
    with StopSignals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_comes_twice_at_once_is_one_wish():
    """As `timeout` sends it: to its child, and to the group that the child is in."""
    told = []
    with StopSignals() as signals, pytest.raises(KeyboardInterrupt):
        handle_a_frame(signals, told, interrupted=2)
    assert told == ["hit"]


@pytest.fixture
def patient_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """However soon a second press comes, it is one."""
    monkeypatch.setattr(stop_signals, "_SAME_WISH_S", 0.0)


@pytest.mark.usefixtures("patient_hand")
def test_who_signals_twice_does_not_wait():
    told = []
    with StopSignals() as signals, pytest.raises(KeyboardInterrupt):
        handle_a_frame(signals, told, interrupted=2)
    assert told == []


@pytest.mark.usefixtures("patient_hand")
def test_who_signals_again_while_the_run_is_wound_up_does_not_wait():
    told = []
    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt):
            handle_a_frame(signals, told)
        with pytest.raises(KeyboardInterrupt):
            handle_a_frame(signals, told)
    assert told == ["hit"]


def test_an_interrupt_is_raised_once():
    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt), signals.held():
            signal.raise_signal(signal.SIGINT)
        with signals.held():
            pass


def test_the_handlers_from_before_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
