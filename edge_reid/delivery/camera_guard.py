"""Does another agent report a camera of ours? Two that do overwrite each other's status.

Every agent writes a camera's status again and again, so each hears the other's on that topic. What
lies there retained says nothing: it may be of this device under an earlier name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from edge_reid.mqtt.message import Received
from edge_reid.wire.payloads import CameraStatus
from edge_reid.wire.topics import Address


class CameraGuard:
    """Hears who reports our cameras.

    Args:
        silence_s: another agent that reported nothing for so long is gone.
    """

    def __init__(
        self,
        address: Address,
        cameras: Iterable[str],
        *,
        silence_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topics = tuple(map(address.camera_status, cameras))
        self._agent = address.agent
        self._silence_s = silence_s
        self._clock = clock
        self._heard = -silence_s, ""  # when another agent was heard last, and in words

    def hear(self, message: Received) -> None:
        """Take in a message on one of our cameras' topics."""
        if message.retained:
            return
        try:
            status = CameraStatus.model_validate_json(message.body)
        except ValueError:  # cleared, or none of ours
            return
        if status.agent != self._agent:
            trouble = (
                f"camera {status.camera}: expected no other agent to report it, {status.agent} "
                "does; give one of the two cameras another name (camera = …)"
            )
            self._heard = self._clock(), trouble

    @property
    def trouble(self) -> str | None:
        """Which other agent reports which camera, in words; None when none does."""
        at_s, trouble = self._heard
        return trouble if trouble and self._clock() - at_s < self._silence_s else None
