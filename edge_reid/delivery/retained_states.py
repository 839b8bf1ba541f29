"""Retained states that an agent shows: the newest of every topic, said anew at every connection."""

from __future__ import annotations

import threading

from edge_reid.mqtt.message import Message


class RetainedStates:
    """States that are to be at the broker. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards both
        self._shown: dict[str, Message] = {}  # the newest, by topic
        self._unsent: dict[str, Message] = {}  # of these, what this connection has not heard

    def show(self, message: Message) -> None:
        """Put a state in the place of the one on its topic."""
        with self._lock:
            self._shown[message.topic] = self._unsent[message.topic] = message

    def begin_anew(self) -> None:
        """Have all states said once more: this is another connection."""
        with self._lock:
            self._unsent = dict(self._shown)

    def take_unsent(self) -> list[Message]:
        """States that were not taken since they were shown."""
        with self._lock:
            taken, self._unsent = list(self._unsent.values()), {}
        return taken
