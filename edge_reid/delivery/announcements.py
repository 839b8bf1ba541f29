"""What Home Assistant is told of this agent and of the people whom it has seen, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from edge_reid.mqtt.message import Message, Received
from edge_reid.wire.home_assistant import ONLINE, HomeAssistant

BIRTH_PAUSE_S = 5.0
"""Whoever says again and again that it has started is answered this often at most."""


class Announcements:
    """Which configurations are to be said on this connection. Of the publisher's thread.

    A person is announced with their first state, and taken away with it.
    """

    def __init__(
        self, home_assistant: HomeAssistant, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.topic = home_assistant.birth_topic
        self._home_assistant = home_assistant
        self._clock = clock
        self._announced: set[str] = set()  # people, on this connection
        self._is_due = True
        self._answered_s = -BIRTH_PAUSE_S

    def begin_anew(self) -> None:
        """Have everything said once more: this is another connection."""
        self._is_due = True

    def hear(self, message: Received) -> None:
        """Take in what Home Assistant says of itself. What lies retained is no birth."""
        is_soon = self._clock() - self._answered_s < BIRTH_PAUSE_S
        if message.body == ONLINE and not message.retained and not is_soon:
            self._answered_s, self._is_due = self._clock(), True

    def take_due(self, shown: Iterable[str]) -> list[Message]:
        """The agent and the people whose state is shown, once they are due; asking is taking."""
        if not self._is_due:
            return []
        self._is_due, people = False, sorted(shown)
        self._announced = set(people)
        return [self._home_assistant.agent(), *map(self._home_assistant.person, people)]

    def take_person(self, identity: str) -> Message | None:
        """Somebody whose state is about to be shown; None: they are announced already."""
        if identity in self._announced:
            return None
        self._announced.add(identity)
        return self._home_assistant.person(identity)

    def forgotten(self, identity: str) -> Message:
        """Takes somebody away."""
        self._announced.discard(identity)
        return self._home_assistant.forgotten(identity)
