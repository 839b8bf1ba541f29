"""A broker that says given bytes, whatever they are."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, connect

CONNACK = bytes([0x20, 3, 0, 0, 0])
PUBLISH_OF_A_TOPIC_LONGER_THAN_ITSELF = bytes([0x30, 4, 0x40, 2, 0x61, 0])
PUBLISH_ON_NO_UTF8 = bytes([0x30, 5, 0, 1, 0xFF, 0, 0x61])
PUBACK_OF_NO_KNOWN_REASON = bytes([0x40, 4, 0, 1, 0x7F, 0])


@contextmanager
def said_by_a_broker(
    said: bytes, *, connack: bytes = CONNACK, heard: list[bytes] | None = None, stays: bool = False
) -> Iterator[Connection]:
    """A connection to somebody who greets as a broker does, and then says that.

    Who wants to know what it `heard` has one that stays.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1024)
                link.sendall(connack + said)
                if heard is None and not stays:
                    link.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):  # who had enough of it
                    while words := link.recv(1024):
                        if heard is not None:
                            heard.append(words)

        broker = threading.Thread(target=speak)
        broker.start()
        connection = connect(Broker("127.0.0.1", server.getsockname()[1]))
        try:
            yield connection
        finally:
            connection.abort()
            broker.join()


def listen(connection: Connection) -> None:
    while True:
        connection.turn(1.0)
