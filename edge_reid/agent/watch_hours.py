"""When a live camera is watched, and until when it is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edge_reid.core.active_hours import ActiveHours


class WatchHours:
    """Of one camera, by the wall clock of the device.

    Args:
        lines: windows such as `mon-fri 07:00-19:00`; none: it is always watched.
        clock: Unix seconds now.
    """

    def __init__(self, lines: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._hours = ActiveHours.parse(lines)
        self._clock = clock
        self._rest: tuple[float, float] | None = None  # Unix seconds: found when, until when

    def are_now(self) -> bool:
        """Whether it is watched at this moment; any thread may ask."""
        return not self._hours.windows or self._hours.contain(self._clock())

    @property
    def rest_until_utc_s(self) -> float | None:
        """When it is watched again, in Unix seconds; None: it is now. Of the frames' thread."""
        now_s = self._clock()
        if self.are_now():
            self._rest = None
        elif self._rest is None or not self._rest[0] <= now_s < self._rest[1]:
            next_s = self._hours.next_change(now_s)
            assert next_s is not None, "every window comes within a week"  # noqa: S101
            self._rest = now_s, next_s
        return self._rest[1] if self._rest else None
