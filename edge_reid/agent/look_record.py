"""How often and how late a live camera is looked at, and what is given up for it."""

from __future__ import annotations

from collections.abc import Callable

from edge_reid.agent.histogram import Histogram
from edge_reid.agent.latency_window import LatencyWindow
from edge_reid.agent.look_pace import LookPace
from edge_reid.agent.look_schedule import FrameCount
from edge_reid.wire.events import LookReport

COMMIT_BOUNDS_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes of the time from a capture to its commit."""
_SPAN_S = 30.0
_LONG_WAIT_SHARE = 0.25
"""Of the time between two looks: a camera that waits longer for its turn is looked at too late."""
_LEAST_LOOKS = 10
"""From fewer nothing follows."""


class LookRecord:
    """Of one camera.

    Args:
        camera: its name.
        wanted_hz: looks a second, as configured.
        pace: of the whole agent.
        count: frames of the camera so far.
    """

    def __init__(
        self, camera: str, wanted_hz: float, pace: LookPace, count: Callable[[], FrameCount]
    ) -> None:
        self._camera = camera
        self._wanted_hz = wanted_hz
        self._pace = pace
        self._count = count
        self.commits = Histogram(COMMIT_BOUNDS_S)
        """Seconds from the capture of each frame looked at to the commit of what it brought."""
        self._looks = LatencyWindow(_SPAN_S)
        self._event_looks = LatencyWindow(_SPAN_S)
        self._short_looks = LatencyWindow(_SPAN_S)
        self._uncompared = 0
        self._waits = LatencyWindow(_SPAN_S)

    @property
    def period_s(self) -> float:
        """Between two looks, now."""
        return 1.0 / self._pace.rate_hz(self._wanted_hz)

    @property
    def crops_per_look(self) -> int | None:
        """What may be embedded of a look now; None: as much as there is."""
        return self._pace.concession.crops_per_look

    @property
    def promise_s(self) -> float:
        """From the capture of a frame to the commit of what it brought."""
        return self._pace.promise_s

    def note(
        self, age_s: float, *, waited_s: float, brought_events: bool, uncompared: int = 0
    ) -> None:
        """Take in a look whose events are committed.

        Args:
            age_s: of its frame by now.
            waited_s: since the camera was due when its turn came.
            brought_events: whether there were any.
            uncompared: people who were not compared with tracks, as no time was left.
        """
        self.commits.note(age_s)
        self._looks.note(age_s * 1e3)
        self._waits.note(waited_s * 1e3)
        if brought_events:
            self._event_looks.note(age_s * 1e3)
        if uncompared:
            self._uncompared += uncompared
            self._short_looks.note(age_s * 1e3)
        self._pace.note(self._camera, max(age_s, waited_s) * 1e3)

    @property
    def is_degraded(self) -> bool:
        """Whether looks or crops are given up, or most looks come late, or most have no time to
        tell who is who.
        """
        looks, long_ms = len(self._waits), _LONG_WAIT_SHARE * 1e3 / self._wanted_hz
        most = max(len(self._short_looks), self._waits.count_above(long_ms))
        return (
            self._pace.rate_hz(self._wanted_hz) < self._wanted_hz
            or self.crops_per_look is not None
            or (looks >= _LEAST_LOOKS and 2 * most > looks)
        )

    @property
    def report(self) -> LookReport:
        """Of the last half minute."""
        latency, events = self._looks.summary, self._event_looks.summary
        return LookReport(
            wanted_hz=self._wanted_hz,
            present_hz=self._looks.looks_per_s,
            p50_ms=latency.p50_ms if latency else None,
            p95_ms=latency.p95_ms if latency else None,
            events_p95_ms=events.p95_ms if events else None,
            missed=self._count().missed,
            crops_per_look=self.crops_per_look,
            uncompared=self._uncompared,
            is_degraded=self.is_degraded,
        )
