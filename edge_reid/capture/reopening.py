"""How long to wait before a camera is opened again."""

from __future__ import annotations

import random

from edge_reid.core.camera_fault import CameraFault

FIRST_S, _LONGEST_S, _GROWS = 0.5, 2.5, 1.5
"""Seconds: a camera is to be seen within 5 s of its return."""
LOGIN_S = 20.0
"""After a refused login: many cameras lock out whoever tries too often."""
_JITTER = 0.2
"""Of a pause: cameras behind one switch do not all get asked at once."""


class ReopenPause:
    """Pauses that grow from attempt to attempt, until one brings a picture."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def succeeded(self) -> None:
        """A picture has come."""
        self._next_s = FIRST_S

    def after(self, fault: CameraFault | None) -> float:
        """The pause after an attempt that ended with this fault, seconds."""
        pause_s, self._next_s = self._next_s, min(self._next_s * _GROWS, _LONGEST_S)
        if fault and fault.kind == "login":
            pause_s = LOGIN_S
        return pause_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
