"""A subscriber in a thread, for tests: keeps what came, and waits for what should."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Received
from edge_reid.mqtt.subscriber import Subscriber


class Consumer:
    """Follows topics from `with` on, over restarts of the broker."""

    def __init__(self, broker: Broker, *filters: str) -> None:
        self.messages: list[Received] = []
        # QoS 0: it answers nothing, so a broker that dies cannot cut off what it had still said
        self._subscriber = Subscriber(broker, filters or ("#",), qos=0, retry_s=(0.01, 0.02))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Consumer:
        self._subscriber.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        self._subscriber.__exit__()

    @property
    def is_subscribed(self) -> bool:
        return self._subscriber.is_connected

    def payloads(self, topic_end: str) -> list[dict[str, Any]]:
        """What came on topics that end so, in order."""
        return [json.loads(it.body) for it in self.messages if it.topic.endswith(topic_end)]

    def wait_for(
        self, topic_end: str, count: int = 1, timeout_s: float = 10.0
    ) -> list[dict[str, Any]]:
        """The same, once there are so many."""
        eventually(lambda: len(self.payloads(topic_end)) >= count, timeout_s)
        return self.payloads(topic_end)

    def _run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(BrokerError):
                message = self._subscriber.receive(0.1)
                if message:
                    self.messages.append(message)


def eventually(is_so: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until it is so; fail when it never is."""
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"not so within {timeout_s} s"
        time.sleep(0.005)
