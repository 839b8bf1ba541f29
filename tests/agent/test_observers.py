"""Whoever watches a run sees it, and cannot harm it."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest

from edge_reid.agent import observers as observers_module
from edge_reid.agent.observers import FAREWELL_S, WAITING_STEPS, Observer, Observers
from edge_reid.agent.pipeline import Step
from edge_reid.core.types import Frame


def step(number: int) -> Step:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), number, float(number))
    return Step("gate", frame, hits=(), tracks=(), decisions={}, crops=())


class Watcher(Observer):
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def started(self, camera: str, frames_expected: int | None, /) -> None:
        self.heard.append((camera, frames_expected))

    def stepped(self, step: Step, /) -> None:
        self.heard.append(step.frame.index)

    def notice(self, line: str, /) -> None:
        self.heard.append(line)

    def closed(self) -> None:
        self.heard.append("closed")


class Failing(Watcher):
    def stepped(self, step: Step, /) -> None:
        super().stepped(step)
        raise ValueError("no more paper")


class Stuck(Watcher):
    """Never comes back from its first frame, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck, self.release = threading.Event(), threading.Event()

    def stepped(self, step: Step, /) -> None:
        super().stepped(step)
        self.is_stuck.set()
        self.release.wait()


@pytest.mark.parametrize("is_live", [True, False])
def test_all_hear_everything_in_order(is_live: bool) -> None:
    one, other = Watcher(), Watcher()
    with Observers([one, other], is_live=is_live) as observers:
        observers.started("gate", 2)
        observers.stepped(step(0))
        observers.notice("rain")
        observers.stepped(step(1))
    assert one.heard == other.heard == [("gate", 2), 0, "rain", 1, "closed"]


def test_a_recorded_frame_is_never_left_out() -> None:
    class Slow(Watcher):
        def stepped(self, step: Step, /) -> None:
            time.sleep(0.002)
            super().stepped(step)

    slow = Slow()
    with Observers([slow], is_live=False) as observers:
        for number in range(50):
            observers.stepped(step(number))
    assert slow.heard == [*range(50), "closed"]


def test_one_that_raises_is_logged_closed_and_left_out_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing, other = Failing(), Watcher()
    with caplog.at_level(logging.ERROR), Observers([failing, other], is_live=False) as observers:
        for number in range(20):
            observers.stepped(step(number))
    assert failing.heard == [0, "closed"]
    assert other.heard == [*range(20), "closed"]
    assert "observer Failing: failed; the run goes on without it" in caplog.text
    assert "no more paper" in caplog.text


def test_one_that_is_stuck_makes_no_live_frame_wait_and_has_the_newest_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck, other = Stuck(), Watcher()
    with caplog.at_level(logging.WARNING), Observers([stuck, other], is_live=True) as observers:
        observers.stepped(step(0))
        assert stuck.is_stuck.wait(10)
        began_s = time.monotonic()
        for number in range(1, 200):
            observers.stepped(step(number))
            observers.notice(str(number))
        assert time.monotonic() - began_s < FAREWELL_S / 2, "it was not waited for"
        stuck.release.set()
    steps = [heard for heard in stuck.heard if isinstance(heard, int)]
    assert steps[0] == 0
    assert steps[-1] == 199
    assert len(steps) <= 1 + WAITING_STEPS
    assert caplog.text.count("observer Stuck: too slow for this camera") == 1


def test_one_that_is_stuck_is_left_behind_by_a_recording_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(observers_module, "PATIENCE_S", 0.2)
    monkeypatch.setattr(observers_module, "FAREWELL_S", 0.2)
    stuck, other = Stuck(), Watcher()
    with caplog.at_level(logging.ERROR), Observers([stuck, other], is_live=False) as observers:
        for number in range(50):
            observers.stepped(step(number))
    assert other.heard == [*range(50), "closed"]
    assert stuck.heard == [0]
    assert caplog.text.count("it is left behind, the run goes on") == 1
    stuck.release.set()
