"""Whether the agent is alive, and whether it does what it is there for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.watched_camera import WatchedCamera


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """An answer, and all reasons why it is no."""

    ok: bool
    reasons: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One line, for whoever asks over HTTP."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


class Health:
    """Judges an agent whose models are loaded. Any thread may ask.

    Args:
        beaten_s: when the loop over the frames last came round, on `clock`.
        alive_s: silence of the loop that counts as death.
        follows_gallery: whether the gallery comes from elsewhere, so that there may be none yet.
        clock: seconds that only ever rise.
    """

    def __init__(
        self,
        cameras: Sequence[WatchedCamera],
        policies: CameraPolicies,
        *,
        beaten_s: Callable[[], float],
        alive_s: float,
        follows_gallery: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cameras = cameras
        self._policies = policies
        self._beaten_s = beaten_s
        self._alive_s = alive_s
        self._follows_gallery = follows_gallery
        self._clock = clock

    @property
    def liveness(self) -> HealthAnswer:
        """Whether the loop over the frames goes round, with frames or without."""
        silent_s = self._clock() - self._beaten_s()
        if silent_s <= self._alive_s:
            return HealthAnswer(ok=True)
        line = f"frames: expected a round of the loop every {self._alive_s:g} s, got none for "
        return HealthAnswer(False, (f"{line}{silent_s:.0f} s",))

    @property
    def readiness(self) -> HealthAnswer:
        """Whether it is alive, sees through a camera, unless none is to be watched now, and has a
        gallery.
        """
        reasons = (*self.liveness.reasons, *self._blindness, *self._emptiness)
        return HealthAnswer(not reasons, reasons)

    @property
    def _blindness(self) -> tuple[str, ...]:
        latest = {camera.name: camera.status.latest for camera in self._cameras}
        if any(report.state == "running" for report in latest.values()):
            return ()
        return tuple(
            f"camera {name}: expected it to be running, got {report.state}"
            + (f": {report.reason}" if report.reason else "")
            for name, report in latest.items()
            if report.state != "inactive"
        )

    @property
    def _emptiness(self) -> tuple[str, ...]:
        if not self._follows_gallery or self._policies.index.version:
            return ()
        return ("gallery: expected a version in force, got none yet from its source",)
