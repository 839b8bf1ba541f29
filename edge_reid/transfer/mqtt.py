"""A publication on a broker, as retained messages: the head, and beside it pieces of blobs."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.message_transport import UnreachableError
from edge_reid.mqtt.retained import QUIET_S as RETAINED_QUIET_S
from edge_reid.mqtt.retained import Retained, read_retained, read_topic
from edge_reid.mqtt.subscriber import Subscriber
from edge_reid.signing.blobs import BlobRef
from edge_reid.transfer.layout import HEAD, Layout

BATCH_PIECES = 64
"""Asked for at a time: brokers queue some hundred messages for a client, and drop what is more."""
QUIET_S = 10.0
"""A piece that has not come so long after the last one is not there."""
HEAD_GRACE_S = 2.0
"""MQTT has no word for "nothing is retained": we wait so long for a head."""
MAX_RETAINED_BYTES = 16 << 20
"""Of what is read at a time beside blobs: messages of a few hundred bytes."""


class MqttSource:
    """Follows the head from one connection that stays, and fetches blobs over others that do not.

    The head comes when it changes, and again every `repeat_s`: what failed is so tried anew. The
    broker is asked for it then: it may have kept a change to itself, where it owes a subscription
    with QoS 0 nothing (`repeated_qos`).
    """

    def __init__(self, broker: Broker, head_topic: str, layout: Layout, *, repeat_s: float) -> None:
        self._broker = broker
        self._layout = layout
        self._below = head_topic.removesuffix(HEAD)
        self._heads = Subscriber(broker.shuffled, [head_topic], qos=None)
        self._newest: bytes | None = None
        self._repeat_s = repeat_s
        self._repeat_at_s = 0.0

    def news(self, timeout_s: float) -> bytes | None:
        """The newest head, once it comes or is due again.

        Raises:
            BrokerError: the broker is not there.
        """
        message = None if self._is_due else self._heads.receive(timeout_s)
        is_due = message is None and self._is_due
        if is_due:
            self._heads.ask_again()
            message = self._heads.receive(min(timeout_s, HEAD_GRACE_S))
        if message is None and not self._heads.is_connected:
            raise BrokerError(self._heads.trouble or f"{self._broker}: is not there yet")
        if message is None and not is_due:
            return None
        if message is not None:
            self._newest = message.body or None  # empty: somebody has cleared it
        self._repeat_at_s = time.monotonic() + self._repeat_s
        return self._newest

    @property
    def _is_due(self) -> bool:
        return self._newest is not None and time.monotonic() >= self._repeat_at_s

    def trigger(self) -> None:
        """Give the head again at once, next time."""
        self._repeat_at_s = 0.0

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Blobs as they arrive.

        Raises:
            EdgeReidError: one is missing, cut short or changed; of the layout's kind.
            BrokerError: the broker is not there.
        """
        connection = connect(self._broker.shuffled)
        try:
            for batch in self._batches(refs):
                yield from self._fetch(connection, batch)
            connection.close()
        finally:
            connection.abort()

    @contextmanager
    def open(self, ref: BlobRef, start: int = 0) -> Iterator[IO[bytes]]:
        """A blob from an offset on; all of it comes, as no broker sends a part of a message."""
        ((_, body),) = self.fetch([ref])
        yield io.BytesIO(body[start:])

    def close(self) -> None:
        """Hang up."""
        self._heads.__exit__()

    def _fetch(
        self, connection: Connection, refs: Sequence[BlobRef]
    ) -> Iterator[tuple[BlobRef, bytes]]:
        pieces: dict[str, bytes] = {}
        asked = {topic for ref in refs for topic in self._topics(ref)}
        connection.subscribe(sorted(asked), qos=connection.repeated_qos)
        deadline_s = time.monotonic() + QUIET_S
        left = list(refs)
        while left:
            connection.turn(0.2)
            while connection.received:
                message = connection.received.popleft()
                if message.topic in asked:  # once each: more is not kept, and gains no time
                    asked.remove(message.topic)
                    pieces[message.topic] = message.body
                    deadline_s = time.monotonic() + QUIET_S
            for ref in [ref for ref in left if pieces.keys() >= set(self._topics(ref))]:
                left.remove(ref)
                yield ref, self._layout.join(ref, [pieces.pop(it) for it in self._topics(ref)])
            if left and time.monotonic() > deadline_s:
                raise self._layout.error(
                    f"{self._broker}: {self._topics(left[0])[0]} did not come; "
                    f"{self._layout.republish}"
                )

    def _topics(self, ref: BlobRef) -> list[str]:
        return [f"{self._below}{path}" for path in self._layout.paths(ref)]

    def _batches(self, refs: Sequence[BlobRef]) -> Iterator[list[BlobRef]]:
        """A few blobs at a time, so that no batch has many more pieces than may be asked for."""
        batch: list[BlobRef] = []
        pieces = 0
        for ref in refs:
            batch.append(ref)
            pieces += len(self._layout.paths(ref))
            if pieces >= BATCH_PIECES:
                yield batch
                batch, pieces = [], 0
        if batch:
            yield batch


class MqttTarget:
    """Publishes on a broker. `with` connects and leaves.

    Raises:
        BrokerError: on entering, when the broker is not there or refuses us; in every method, when
            the connection is lost, or the broker retains nothing.
    """

    def __init__(self, broker: Broker, head_topic: str, layout: Layout) -> None:
        self._broker = broker
        self._layout = layout
        self._head_topic = head_topic
        self._below = head_topic.removesuffix(HEAD)
        self.name = f"{broker} {self._below.rstrip('/')}"
        self._open_connection: Connection | None = None

    def __enter__(self) -> MqttTarget:
        self._open_connection = connect(self._broker)
        return self

    def __exit__(self, *_: object) -> None:
        if self._open_connection:
            self._open_connection.close()

    def head(self) -> bytes | None:
        """The head that lies there."""
        self._check_that_it_retains()
        self._connection.received.clear()
        return read_topic(self._connection, self._head_topic, grace_s=HEAD_GRACE_S)

    def put(self, blobs: Iterable[tuple[BlobRef, bytes]]) -> Iterator[BlobRef]:
        """Send blobs; each is given back once the broker has all of it."""
        self._check_that_it_retains()
        return self._send((ref, self._layout.split(body)) for ref, body in blobs)

    def clear(self, refs: Iterable[BlobRef]) -> Iterator[BlobRef]:
        """Replace blobs by empty retained messages: the broker forgets them."""
        return self._send((ref, [b""] * len(self._layout.paths(ref))) for ref in refs)

    def put_head(self, signed_head: bytes) -> None:
        """Send the head, and see that it stands; an empty one clears it.

        Raises:
            EdgeReidError: somebody else published at the same moment; of the layout's kind.
        """
        self._check_that_it_retains()
        self.leave(self._head_topic, signed_head)
        if (self.read([self._head_topic]).body(self._head_topic) or b"") != signed_head:
            raise self._layout.error(
                f"{self._broker}: another {self._layout.noun} was published at the same moment; "
                "publish again"
            )

    def read(self, filters: Sequence[str], *, quiet_s: float = RETAINED_QUIET_S) -> Retained:
        """What is retained at topics; the broker sends it anew."""
        self._connection.received.clear()
        self._connection.subscribe(filters, qos=self._connection.repeated_qos)
        receive = self._connection.receive
        return read_retained(receive, quiet_s=quiet_s, most_bytes=MAX_RETAINED_BYTES)

    def leave(self, topic: str, body: bytes | str) -> None:
        """Leave a retained message at a topic, and wait until the broker has it."""
        self._connection.publish(Message(topic, body, retain=True))
        deadline_s = time.monotonic() + QUIET_S
        while not self._connection.is_idle:
            if time.monotonic() > deadline_s:
                raise UnreachableError(f"{self._broker}: does not take {topic}")
            self._connection.turn(0.2)

    @property
    def _connection(self) -> Connection:
        assert self._open_connection is not None, "use it in a with statement"  # noqa: S101
        return self._open_connection

    def _check_that_it_retains(self) -> None:
        self._connection.check_that_it_retains(f"a {self._layout.noun}")

    def _send(self, blobs: Iterable[tuple[BlobRef, Sequence[bytes]]]) -> Iterator[BlobRef]:
        in_flight: dict[int, BlobRef] = {}
        left: dict[BlobRef, int] = {}
        for ref, pieces in blobs:
            left[ref] = len(pieces)
            for path, piece in zip(self._layout.paths(ref), pieces, strict=True):
                while not self._connection.room:
                    yield from self._process_acks(in_flight, left)
                message = Message(f"{self._below}{path}", piece, retain=True)
                in_flight[self._connection.publish(message)] = ref
        while left:
            yield from self._process_acks(in_flight, left)

    def _process_acks(
        self, in_flight: dict[int, BlobRef], left: dict[BlobRef, int]
    ) -> list[BlobRef]:
        """Blobs of which the last piece was acknowledged."""
        self._connection.turn(0.2)
        done: list[BlobRef] = []
        for packet_id in self._connection.take_acknowledged():
            ref = in_flight.pop(packet_id, None)
            if ref is None:
                continue
            left[ref] -= 1
            if not left[ref]:
                del left[ref]
                done.append(ref)
        return done
