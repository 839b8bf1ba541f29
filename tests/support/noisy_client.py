"""Somebody at a broker who never falls silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.mosquitto import Mosquitto

from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message


@contextmanager
def somebody_speaks(broker: Mosquitto, message: Message) -> Iterator[None]:
    """Without a pause of more than a hundredth of a second."""
    ended = threading.Event()

    def speak() -> None:
        connection = connect(broker.broker())
        while not ended.is_set():
            if connection.room:
                connection.publish(message)
            connection.turn(0.01)
        connection.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield
    finally:
        ended.set()
        speaker.join()
