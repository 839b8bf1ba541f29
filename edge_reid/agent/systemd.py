"""What systemd hears of us: ready, alive, what we are at, stopping (`Type=notify`).

One datagram a message to `$NOTIFY_SOCKET`. Whoever is started otherwise has no such socket, and
nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

BEATS_PER_TIMEOUT = 4
"""So many signs of life within the time after which silence counts as death."""
MOST_PAUSE_S = 5.0
"""Between two signs of life, whatever the timeout: an upgrade is watched by them too."""
START_S = 180.0
"""A service that begins anew may be silent for so long, as when it starts: `TimeoutStartSec` of the
unit, which does not count then."""


class SystemdNotifier:
    """Tells the service manager that the pipeline makes progress. Of one thread: the pipeline's.

    A beat means "I took a frame through all stages, or found that there is none and am well". So it
    is called from the loop over the frames and from nowhere else: no other thread may vouch for it.

    Args:
        address: of the datagram socket; `@` begins an abstract one. None: nobody listens.
        timeout_s: silence that counts as death; None: nobody counts.
        clock: seconds that only ever rise.
    """

    def __init__(
        self,
        address: str | None,
        *,
        timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._pause_s = min(MOST_PAUSE_S, (timeout_s or 60.0) / BEATS_PER_TIMEOUT)
        self._clock = clock
        self._next_s = 0.0
        self._status = ""
        self._is_ready = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> SystemdNotifier:
        """As systemd has set the environment of this process."""
        timeout_us = environment.get("WATCHDOG_USEC", "")
        meant_for = environment.get("WATCHDOG_PID", str(os.getpid()))
        is_counted = timeout_us.isdecimal() and meant_for == str(os.getpid())
        timeout_s = int(timeout_us) / 1e6 if is_counted else None
        return cls(environment.get("NOTIFY_SOCKET") or None, timeout_s=timeout_s)

    @property
    def is_heard(self) -> bool:
        """Whether we run as a service that somebody looks after."""
        return self._address is not None

    def beat(self, status: str) -> None:
        """A sign of life, and one line on how it goes; as often as you like, sent now and then."""
        now_s = self._clock()
        if now_s < self._next_s and status == self._status:
            return
        self._next_s = now_s + self._pause_s
        self._status = status
        ready = "" if self._is_ready else f"READY=1\n{self._silence_of(self._timeout_s)}"
        self._is_ready |= self._send(f"{ready}WATCHDOG=1\nSTATUS={status}")

    def starting_anew(self) -> None:
        """We begin anew as the same service: the next sign of life comes with the first frame, from
        when on the silence of before counts as death again.
        """
        longest_s = self._timeout_s and max(self._timeout_s, START_S)
        status = "starting anew with the embedding model of the gallery"
        self._send(f"{self._silence_of(longest_s)}WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """We end, of our own will or because we were asked to."""
        self._send("STOPPING=1\nSTATUS=delivering the last events")

    @staticmethod
    def _silence_of(timeout_s: float | None) -> str:
        """Counts as death from now on; where nobody counts, it must not begin."""
        return f"WATCHDOG_USEC={round(timeout_s * 1e6)}\n" if timeout_s else ""

    def _send(self, message: str) -> bool:
        """Whether it was taken."""
        if self._address is None:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            suppress(OSError),  # a manager that is restarting hears the next one
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker,
        ):
            speaker.settimeout(1.0)
            speaker.sendto(message.encode(), address)
            return True
        return False
