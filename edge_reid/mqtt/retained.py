"""What lies retained at a broker: read once, bounded in time and memory; or cleared.

MQTT has no word for "that was all". All has come when nothing retained has for a while, or when
every topic that was asked for by name has come. What is said meanwhile is taken along, and prolongs
nothing: a site where somebody always speaks is read as fast as a silent one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.message_transport import MessageConnection

QUIET_S = 0.5
"""When nothing retained has come for so long, all has."""
MOST_S = 10.0
MOST_BYTES = 64 << 20
PROOF_EXPIRY_S = 60
"""Where messages expire, one that a reader who was cut off has left goes by itself."""


@dataclass(frozen=True, slots=True)
class Retained:
    """What was read."""

    messages: tuple[Received, ...]
    """The newest on every topic, in the order of their topics."""
    is_whole: bool
    """False: more would have come than there was time or room for."""

    def body(self, topic: str) -> bytes | None:
        """What lies on a topic; None: nothing, or it was cleared."""
        bodies = (message.body for message in self.messages if message.topic == topic)
        return next(bodies, b"") or None


def read_topic(connection: MessageConnection, topic: str, *, grace_s: float) -> bytes | None:
    """Subscribe to one topic, and read what lies there; None: nothing came within `grace_s`.

    Raises:
        RefusedError, UnreachableError: the connection is over.
    """
    connection.subscribe([topic], qos=connection.repeated_qos)
    retained = read_retained(connection.receive, expected=(topic,), quiet_s=grace_s)
    return retained.body(topic)


def clear_topics(connection: MessageConnection, topics: Iterable[str]) -> None:
    """Have the broker forget what lies on topics, and wait until it has.

    Raises:
        RefusedError, UnreachableError: the connection is over.
    """
    for topic in topics:
        while not connection.room:
            connection.turn(1.0)
        connection.publish(Message(topic, "", retain=True))
    _finish(connection)


def read_by_wildcard(
    connection: MessageConnection, filters: Iterable[str], proof: str
) -> Retained | None:
    """Read what lies on topics that are asked for with wildcards.

    Args:
        connection: not subscribed to them yet.
        filters: with wildcards.
        proof: a topic that a filter fits and that we may write: what is left there for this while
            must be among what is read.

    Returns:
        all but that; None: the broker keeps what is retained, and gives nothing of it to who asks
        with a wildcard, as RabbitMQ does.

    Raises:
        RefusedError, UnreachableError: the connection is over.
    """
    connection.publish(Message(proof, "?", retain=True, expiry_s=PROOF_EXPIRY_S))
    _finish(connection)
    connection.subscribe(filters)
    found = read_retained(connection.receive)
    clear_topics(connection, [proof])
    others = tuple(message for message in found.messages if message.topic != proof)
    if found.is_whole and len(others) == len(found.messages):
        return None
    return replace(found, messages=others)


def read_retained(
    receive: Callable[[float], Received | None],
    *,
    expected: Collection[str] = (),
    quiet_s: float = QUIET_S,
    most_s: float = MOST_S,
    most_bytes: int = MOST_BYTES,
) -> Retained:
    """Read all that a subscription just made brings.

    Args:
        receive: gives the next message, or None when none came within so many seconds.
        expected: topics that were subscribed to by name: once all have come, nothing more will.
        quiet_s: when nothing retained, and none of the expected, came for so long, all has.
        most_s: it ends after so long in any case.
        most_bytes: of topics and bodies that are kept; what comes beyond is left out.
    """
    newest: dict[str, Received] = {}
    kept_bytes, is_whole = 0, True
    missing = set(expected)
    began_s = quiet_since_s = time.monotonic()
    while True:
        now_s = time.monotonic()
        left_s = min(quiet_since_s + quiet_s, began_s + most_s) - now_s
        if left_s <= 0 or (expected and not missing):
            is_whole &= now_s < began_s + most_s
            return Retained(tuple(newest[topic] for topic in sorted(newest)), is_whole)
        if (message := receive(left_s)) is None:
            continue
        if message.retained or message.topic in missing:
            quiet_since_s = time.monotonic()
        missing.discard(message.topic)
        before = newest.get(message.topic)
        more_bytes = _bytes(message) - (_bytes(before) if before else 0)
        if kept_bytes + more_bytes > most_bytes:
            is_whole = False
            continue
        newest[message.topic] = message
        kept_bytes += more_bytes


def _finish(connection: MessageConnection) -> None:
    """Wait until the broker has taken all that was published."""
    while not connection.is_idle:
        connection.turn(1.0)


def _bytes(message: Received) -> int:
    return len(message.topic) + len(message.body)
