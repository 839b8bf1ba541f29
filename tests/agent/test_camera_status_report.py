"""How a camera does is found out once, whoever is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from edge_reid.agent import camera_status_report
from edge_reid.agent.camera_frames import CameraFrames
from edge_reid.agent.camera_status_report import CameraStatusReport
from edge_reid.agent.metrics import Counters
from edge_reid.capture.recorded_source import RecordedSource
from edge_reid.core.steady_clock import SteadyClock
from edge_reid.core.stream_states import StreamStates
from edge_reid.core.types import Frame
from edge_reid.wire.events import CameraReport


class NoFrames(RecordedSource):
    """A recording of nothing."""

    fps, size_px, frames_expected = 10.0, (0, 0), 0

    def close(self) -> None:
        """Nothing is open."""

    def __iter__(self) -> Iterator[Frame]:
        return iter(())


class CountedReport(CameraStatusReport):
    """Counts how often it looks."""

    looks = 0

    def _report(self, *given: Any, **more: Any) -> CameraReport:
        self.looks += 1
        return super()._report(*given, **more)


@pytest.fixture
def report() -> CountedReport:
    frames = CameraFrames(NoFrames(), SteadyClock(), stall_timeout_s=10.0)
    return CountedReport(
        "gate", frames=frames, looks=None, uplink=None, notice=lambda _: None, counters=Counters()
    )


def test_what_is_published_is_also_what_was_found_last(
    report: CountedReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr(camera_status_report, "time", clock)
    report.running(1)
    assert (report.looks, report.latest.state, report.brief.state) == (1, "running", "running")
    report.running(1)
    assert report.looks == 1, "a moment ago"
    now_s += 1.5
    report.quiet()
    assert (report.looks, report.latest.state, report.brief.state) == (2, "stalled", "stalled")
    now_s += 1.5
    report.quiet()
    assert (report.looks, report.brief.state) == (3, "stalled")


class TwoStreams:
    """A small stream in which people are detected, a large one from which crops are cut."""

    streams = StreamStates("detect", "open", opened=1)

    def attend(self) -> None:
        """The large one is open."""


def test_crops_that_only_tell_who_is_who_are_not_said_to_be_of_a_stream() -> None:
    """Whoever sees small crops looks for what is wrong with the large stream."""
    counters = Counters(embeddings=14, compared=4, enlarged=10)
    frames = CameraFrames(NoFrames(), SteadyClock(), stall_timeout_s=10.0, two_streams=TwoStreams())
    report = CameraStatusReport(
        "gate", frames=frames, looks=None, uplink=None, notice=lambda _: None, counters=counters
    )
    report.running(1)
    assert report.latest.streams is not None
    assert (report.latest.streams.crops, report.latest.streams.enlarged) == (10, 10)
