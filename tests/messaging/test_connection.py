"""What a connection makes of a broker that does not keep to MQTT."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_reid.messaging.broker import Broker, RefusedError, UnreachableError
from edge_reid.messaging.connection import Connection, connect

CONNACK = bytes([0x20, 3, 0, 0, 0])
PUBLISH_OF_A_TOPIC_LONGER_THAN_ITSELF = bytes([0x30, 4, 0x40, 2, 0x61, 0])
PUBLISH_ON_NO_UTF8 = bytes([0x30, 5, 0, 1, 0xFF, 0, 0x61])
PUBACK_OF_NO_KNOWN_REASON = bytes([0x40, 4, 0, 1, 0x7F, 0])


@contextmanager
def said_by_a_broker(said: bytes) -> Iterator[Connection]:
    """A connection to somebody who greets as a broker does, and then says that."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1024)
                link.sendall(CONNACK + said)
                link.shutdown(socket.SHUT_WR)
                while link.recv(1024):
                    pass

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


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (PUBLISH_OF_A_TOPIC_LONGER_THAN_ITSELF, "hung up; the connection is lost"),
        (PUBACK_OF_NO_KNOWN_REASON, "hung up; the connection is lost"),
        (PUBLISH_ON_NO_UTF8, "sends a topic that is not UTF-8"),
    ],
    ids=["longer than itself", "no known reason", "no UTF-8"],
)
def test_what_is_no_mqtt_ends_the_connection_with_a_reason(said: bytes, reason: str) -> None:
    with said_by_a_broker(said) as connection, pytest.raises(UnreachableError, match=reason):
        listen(connection)


def test_anything_at_all_ends_in_an_error_of_ours() -> None:
    dice = random.Random(4)
    for _ in range(300):
        length = dice.randrange(24)
        packet = bytes([dice.randrange(256), length]) + dice.randbytes(length)
        with (
            said_by_a_broker(packet) as connection,
            pytest.raises((UnreachableError, RefusedError)),
        ):
            listen(connection)
