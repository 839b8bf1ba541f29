"""The other side: follow topics, over restarts of the broker."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.backoff import RETRY_S, Backoff
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Received


class Subscriber:
    """Follows topics in the caller's thread. `with` connects and leaves.

        with Subscriber(broker, ["edge-reid/lab/+/hit"]) as subscriber:
            while (message := subscriber.receive(timeout_s=5.0)) is not None: ...

    Args:
        broker: where.
        filters: MQTT topic filters.
        qos: of the subscription; None: `repeated_qos` of the connection.
        retry_s: first and longest pause between attempts.

    Raises:
        BrokerError: on entering, when the broker is not there or refuses us. Later losses only
            make a pause; retained messages then come once more.
    """

    def __init__(
        self,
        broker: Broker,
        filters: Iterable[str],
        *,
        qos: int | None = 1,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self._broker = broker
        self._qos = qos
        self._backoff = Backoff(*retry_s)
        self._began_s = self._next_s = 0.0  # the last attempt; the next one, not before
        self.filters = tuple(filters)
        self._connection: Connection | None = None
        self._inbox: deque[Received] = deque()
        self.trouble = ""
        """Why there is no connection now; empty while there is. Whoever shows it says it once."""

    def __enter__(self) -> Subscriber:
        self._connection = self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def ask_again(self) -> None:
        """Have the broker send anew what lies retained; nothing happens while it is not there."""
        try:
            if self._connection:
                self._connection.ask_again(self.filters, qos=self._qos_at(self._connection))
        except BrokerError as error:
            self._lose(error)

    def receive(self, timeout_s: float) -> Received | None:
        """The next message, or None when none came in time."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._inbox:
                return self._inbox.popleft()
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return None
            self._turn(left_s)

    def _turn(self, left_s: float) -> None:
        if self._connection is None and (pause_s := self._next_s - time.monotonic()) > 0:
            time.sleep(min(pause_s, left_s))
            return
        try:
            if self._connection is None:
                self._connection = self._connect()
                self.trouble = ""
            self._connection.turn(left_s)
        except BrokerError as error:
            self._lose(error)

    def _lose(self, error: BrokerError) -> None:
        self.trouble = str(error)
        now_s = time.monotonic()
        self._next_s = now_s + self._backoff.pause_s(lasted_s=now_s - self._began_s)
        if self._connection:
            self._connection.abort()
            self._connection = None

    def _connect(self) -> Connection:
        self._began_s = time.monotonic()
        connection = connect(self._broker)
        connection.listen(self.filters, self._inbox.append, qos=self._qos_at(connection))
        return connection

    def _qos_at(self, connection: Connection) -> int:
        return connection.repeated_qos if self._qos is None else self._qos
