"""What is worth saying only while it is new: the newest of every topic, to whoever is connected."""

from __future__ import annotations

import threading

from edge_reid.mqtt.message import Message


class PassingMessages:
    """Neither kept on disk nor said again. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, Message] = {}  # by topic

    def put(self, message: Message) -> None:
        """Take the place of what waits on the same topic."""
        with self._lock:
            self._newest[message.topic] = message

    def take(self) -> list[Message]:
        """What has come since the last call."""
        with self._lock:
            taken, self._newest = list(self._newest.values()), {}
        return taken
