"""How often cameras are looked at: as configured, and less while frames would get too old.

It is broken when most cameras are late: one alone has a slow network, and is not helped.

What is given up for the promised latency, in this order: looks above 3 a second, looks above 2 a
second, and crops beyond one a look, with which the tracker goes by places alone. All cameras give
up the same, as they share one machine. It comes back step by step once there was time to spare for
a while; a step that proves too early doubles the while.

That takes a while to notice. A crowd comes from one look to the next, so the crops of a look have a
bound of their own (`embedding_time.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_reid.agent.latency_window import LatencyWindow

FLOOR_HZ = 2.0
"""Looks a second that are never given up: tracks would break."""
_WINDOW_S = 12.0
"""A judgement rests on the looks of so long, since the last step."""
_LEAST_LOOKS = 10
"""Of a camera, for a judgement."""
_LEAST_LATE = 2
"""Looks that are late: one is chance."""
_LATE_SHARE = 0.05
"""What is promised of 95 of 100 looks is broken when more are late."""
_SPARE_SHARE = 0.6
"""Of the promise: latency below it says that there is time to spare."""
_CALM_S = 20.0
_MOST_CALM_S = 600.0
"""Of calm before a step back up: at first, and at most."""
_LASTING_S = 60.0
"""A step up that held for so long was no mistake."""


@dataclass(frozen=True, slots=True)
class Concession:
    """What is given up."""

    most_hz: float
    """Looks a second and camera."""
    crops_per_look: int | None = None
    """None: as many as there are."""


CONCESSIONS = (
    Concession(float("inf")),
    Concession(3.0),
    Concession(FLOOR_HZ),
    Concession(FLOOR_HZ, crops_per_look=1),
)


class LookPace:
    """Steps down when the promise is broken, and up when it is kept easily.

    Args:
        promise_ms: 95th percentile from the capture of a frame to the commit of what it brought.
        clock: seconds that only ever rise.
    """

    def __init__(self, promise_ms: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._promise_ms = promise_ms
        self._clock = clock
        self._windows: dict[str, LatencyWindow] = {}
        self._level = 0
        self._stepped_s = clock()
        self._was_up = False  # whether the last step was
        self._calm_s = _CALM_S

    @property
    def promise_s(self) -> float:
        """From the capture of a frame to the commit of what it brought."""
        return self._promise_ms / 1e3

    @property
    def concession(self) -> Concession:
        """What is given up now."""
        return CONCESSIONS[self._level]

    def rate_hz(self, wanted_hz: float) -> float:
        """Looks a second of a camera that wants so many."""
        return min(wanted_hz, self.concession.most_hz)

    def note(self, camera: str, took_ms: float) -> None:
        """Take in a look.

        Args:
            camera: its name.
            took_ms: from the capture of the frame to the commit, or the time that a due camera
                waited for its turn if that was longer.
        """
        self._windows.setdefault(camera, LatencyWindow(_WINDOW_S, self._clock)).note(took_ms)
        judged = [window for window in self._windows.values() if len(window) >= _LEAST_LOOKS]
        if not judged:
            return
        since_s = self._clock() - self._stepped_s
        if 2 * sum(map(self._is_late, judged)) > len(judged):
            self._step_down(since_s)
        elif since_s >= self._calm_s and 2 * sum(map(self._has_spare, judged)) > len(judged):
            self._step(-1)
        elif self._was_up and since_s >= _LASTING_S:
            self._was_up, self._calm_s = False, _CALM_S

    def _is_late(self, window: LatencyWindow) -> bool:
        late = window.count_above(self._promise_ms)
        return late >= _LEAST_LATE and late > _LATE_SHARE * len(window)

    def _has_spare(self, window: LatencyWindow) -> bool:
        summary = window.summary
        return summary is not None and summary.p95_ms < self._promise_ms * _SPARE_SHARE

    def _step_down(self, since_s: float) -> None:
        if self._level == len(CONCESSIONS) - 1:
            self._stepped_s = self._clock()  # no calm
            return
        if self._was_up and since_s < _LASTING_S:
            self._calm_s = min(2 * self._calm_s, _MOST_CALM_S)
        self._step(1)

    def _step(self, levels: int) -> None:
        level = max(0, self._level + levels)
        if level != self._level:
            self._was_up = levels < 0
            self._level, self._stepped_s = level, self._clock()
            for window in self._windows.values():
                window.clear()
