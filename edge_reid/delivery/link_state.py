"""How it stands between an agent and the broker, for every thread that asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

_log = logging.getLogger(__name__)


class Link(Enum):
    """How it stands between us and the broker."""

    CONNECTING = "connecting"
    ONLINE = "online"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    NAME_TAKEN = "name taken"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class LinkState:
    """The link, and what is wrong with it in one line (empty when nothing is)."""

    link: Link
    reason: str = ""


class LinkMonitor:
    """Holds the state of the link. One thread enters states, others wait for them."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._state = LinkState(Link.CONNECTING)
        self._changed = threading.Condition()  # guards _state; notified

    @property
    def state(self) -> LinkState:
        """As it is now."""
        return self._state

    def enter(self, state: LinkState) -> None:
        """Take on a state, and wake who waits."""
        if state != self._state:  # who runs us says it: see `Uplink.news`
            _log.info("broker %s: %s %s", self._broker, state.link.value, state.reason)
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def notify(self) -> None:
        """Wake who waits: something else that they wait for may have changed."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, is_so: Callable[[], bool], timeout_s: float) -> None:
        """Wait until it is so, which is asked at every change, or for so long."""
        with self._changed:
            self._changed.wait_for(is_so, timeout_s)
