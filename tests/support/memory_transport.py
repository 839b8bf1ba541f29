"""A second transport: messages in this process, without a broker. All that `delivery` needs."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable

from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.message_transport import WINDOW, UnreachableError
from edge_reid.mqtt.refusals import Refusal
from edge_reid.mqtt.router import Listener, Router
from edge_reid.mqtt.waker import Waker


class MemoryTransport:
    """Everybody who connects here hears everybody else. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # guards the three
        self._connections: list[MemoryConnection] = []
        self._retained: dict[str, Message] = {}
        self.published: list[Message] = []
        """All there ever was, in order."""

    def __str__(self) -> str:
        return "memory"

    def connect(self, *, client_id: str = "", will: Message | None = None) -> MemoryConnection:
        connection = MemoryConnection(self, client_id, will)
        with self._lock:
            for other in [it for it in self._connections if client_id and it.name == client_id]:
                other.abort()
            self._connections.append(connection)
        return connection

    def publish(self, message: Message) -> None:
        with self._lock:
            self.published.append(message)
            if message.retain:
                self._retained[message.topic] = message
            for connection in self._connections:
                connection.take(message, retained=False)

    def give_retained(self, connection: MemoryConnection) -> None:
        with self._lock:
            for message in self._retained.values():
                connection.take(message, retained=True)

    def leave(self, connection: MemoryConnection) -> bool:
        with self._lock:
            was_there = connection in self._connections
            self._connections = [it for it in self._connections if it is not connection]
        return was_there


class MemoryConnection:
    """Takes everything at once; what comes waits for the next turn."""

    outlives_refusals = False
    repeated_qos = 1
    room = WINDOW
    is_idle = True

    def __init__(self, transport: MemoryTransport, name: str, will: Message | None) -> None:
        self.name = name
        self._transport = transport
        self._will = will
        self._router = Router()
        self._filters: set[str] = set()
        self._inbox: deque[Received] = deque()
        self._came: deque[Received] = deque()
        self._ids = itertools.count(1)
        self._acknowledged: list[int] = []
        self._is_over = False
        self._arrival = Waker()

    def publish(self, message: Message) -> int:
        packet_id = next(self._ids)
        self._transport.publish(message)
        self._acknowledged.append(packet_id)
        return packet_id

    def take_acknowledged(self) -> list[int]:
        taken, self._acknowledged = self._acknowledged, []
        return taken

    def take_refused(self) -> dict[int, Refusal]:
        return {}

    def listen(
        self, filters: Iterable[str], hear: Callable[[Received], None], *, qos: int = 1
    ) -> Listener:
        del qos
        listener = Listener(tuple(filters), hear)
        self._router.add(listener)
        self._transport.give_retained(self)
        return listener

    listen_if_allowed = listen

    def stop_listening(self, listener: Listener) -> None:
        self._router.remove(listener)

    def subscribe(self, filters: Iterable[str], *, qos: int = 1) -> None:
        del qos
        self._filters |= set(filters)
        self._transport.give_retained(self)

    def receive(self, timeout_s: float) -> Received | None:
        if not self._inbox:
            self.turn(timeout_s)
        return self._inbox.popleft() if self._inbox else None

    def turn(self, timeout_s: float, waker: Waker | None = None) -> None:
        import select

        if self._is_over:
            raise UnreachableError("memory: was left")
        wakers = [self._arrival, waker] if waker else [self._arrival]
        for ready in select.select(wakers, [], [], 0 if self._acknowledged else timeout_s)[0]:
            ready.clear()
        while self._came:
            message = self._came.popleft()
            if not self._router.route(message) and message.topic in self._filters:
                self._inbox.append(message)

    def take(self, message: Message, *, retained: bool) -> None:
        """From the transport, in any thread."""
        text = message.text
        body = text if isinstance(text, bytes) else text.encode()
        self._came.append(Received(message.topic, body, retained))
        self._arrival.wake()

    def close(self) -> None:
        self._will = None
        self.abort()

    def abort(self) -> None:
        self._is_over = True
        if self._transport.leave(self) and self._will:
            self._transport.publish(self._will)
