"""A gallery on the broker: retained chunks at `<root>/<site>/gallery/blob/<sha256>/<n>`, and the
retained head at `<root>/<site>/gallery/head`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from edge_reid.core.errors import BrokerError, SnapshotError
from edge_reid.mqtt.broker import Broker, UnreachableError
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.subscriber import Subscriber
from edge_reid.signing.blobs import BlobRef, join, split
from edge_reid.wire.topics import gallery_topic

BATCH_CHUNKS = 64
"""Asked for at a time: brokers queue some hundred messages for a client, and drop what is more."""
QUIET_S = 10.0
"""A chunk that has not come so long after the last one is not there."""
HEAD_GRACE_S = 2.0
"""MQTT has no word for "nothing is retained": we wait so long for a head."""


class MqttSource:
    """Follows the head from one connection that stays, and fetches blobs over others that do not.

    The head comes when it changes, and again every `repeat_s`: what failed is so tried anew.
    """

    def __init__(self, broker: Broker, root: str, site: str, *, repeat_s: float) -> None:
        self._broker = broker
        self._topic = gallery_topic(root, site)
        self._heads = Subscriber(broker, [f"{self._topic}/head"])
        self._newest: bytes | None = None
        self._repeat_s = repeat_s
        self._repeat_at_s = 0.0

    def news(self, timeout_s: float) -> bytes | None:
        """The newest head, once it comes or is due again.

        Raises:
            BrokerError: the broker is not there.
        """
        message = self._heads.receive(timeout_s)
        if message is None and not self._heads.is_connected:
            raise BrokerError(self._heads.trouble or f"{self._broker}: is not there yet")
        is_due = self._newest is not None and time.monotonic() >= self._repeat_at_s
        if message is None and not is_due:
            return None
        if message is not None:
            self._newest = message.body or None  # empty: somebody has cleared it
        self._repeat_at_s = time.monotonic() + self._repeat_s
        return self._newest

    def hasten(self) -> None:
        """Give the head again at once, next time."""
        self._repeat_at_s = 0.0

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Blobs as they arrive.

        Raises:
            SnapshotError: one is missing, cut short or changed.
            BrokerError: the broker is not there.
        """
        connection = connect(self._broker)
        try:
            for batch in _batches(refs):
                yield from self._fetch(connection, batch)
            connection.close()
        finally:
            connection.abort()

    def close(self) -> None:
        """Hang up."""
        self._heads.__exit__()

    def _fetch(
        self, connection: Connection, refs: Sequence[BlobRef]
    ) -> Iterator[tuple[BlobRef, bytes]]:
        chunks: dict[str, bytes] = {}
        asked = frozenset(self._topics(refs))
        connection.subscribe(self._topics(refs))
        deadline_s = time.monotonic() + QUIET_S
        left = list(refs)
        while left:
            connection.turn(0.2)
            while connection.received:
                message = connection.received.popleft()
                if message.topic in asked:  # once each: more is not kept, and gains no time
                    asked -= {message.topic}
                    chunks[message.topic] = message.body
                    deadline_s = time.monotonic() + QUIET_S
            for ref in [ref for ref in left if chunks.keys() >= set(self._topics([ref]))]:
                left.remove(ref)
                yield ref, join(ref, [chunks.pop(topic) for topic in self._topics([ref])])
            if left and time.monotonic() > deadline_s:
                raise SnapshotError(
                    f"{self._broker}: {self._topics(left[:1])[0]} did not come; "
                    "publish the gallery again (--again)"
                )

    def _topics(self, refs: Sequence[BlobRef]) -> list[str]:
        return [f"{self._topic}/{path}" for ref in refs for path in ref.paths]


class MqttPlace:
    """Publishes on a broker. `with` connects and leaves.

    Raises:
        BrokerError: on entering, when the broker is not there or refuses us; in every method, when
            the connection is lost.
    """

    def __init__(self, broker: Broker, root: str, site: str) -> None:
        self._broker = broker
        self._topic = gallery_topic(root, site)
        self.name = f"{broker} {self._topic}"
        self._connection: Connection | None = None

    def __enter__(self) -> MqttPlace:
        self._connection = connect(self._broker)
        self._connection.check_that_it_retains("a gallery")
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()

    def head(self) -> bytes | None:
        """The head that lies there."""
        line = self._line
        line.subscribe([f"{self._topic}/head"])
        deadline_s = time.monotonic() + HEAD_GRACE_S
        while not line.received and (left_s := deadline_s - time.monotonic()) > 0:
            line.turn(left_s)
        return self._last_head()

    def put(self, blobs: Iterable[tuple[BlobRef, bytes]]) -> Iterator[BlobRef]:
        """Send blobs; each is given back once the broker has all of it."""
        return self._send(
            (ref, list(zip(ref.paths, split(body), strict=True))) for ref, body in blobs
        )

    def clear(self, refs: Iterable[BlobRef]) -> Iterator[BlobRef]:
        """Empty retained messages in the place of blobs: the broker forgets them."""
        return self._send((ref, [(path, b"") for path in ref.paths]) for ref in refs)

    def put_head(self, sealed: bytes) -> None:
        """Send the head, and see that it stands.

        Raises:
            SnapshotError: somebody else published at the same moment.
        """
        line = self._line
        line.received.clear()
        line.publish(Message(f"{self._topic}/head", sealed, retain=True))
        deadline_s = time.monotonic() + QUIET_S
        while not (line.is_idle and line.received):
            if time.monotonic() > deadline_s:
                raise UnreachableError(f"{self._broker}: does not take the head of the gallery")
            line.turn(0.2)
        if self._last_head() != sealed:
            raise SnapshotError(
                f"{self._broker}: another head was published at the same moment; publish again"
            )

    @property
    def _line(self) -> Connection:
        assert self._connection is not None, "use it in a with statement"  # noqa: S101
        return self._connection

    def _last_head(self) -> bytes | None:
        received = self._line.received
        body = received[-1].body if received else b""
        received.clear()
        return body or None

    def _send(
        self, parcels: Iterable[tuple[BlobRef, list[tuple[str, bytes]]]]
    ) -> Iterator[BlobRef]:
        line = self._line
        on_the_way: dict[int, BlobRef] = {}
        left: dict[BlobRef, int] = {}
        for ref, chunks in parcels:
            left[ref] = len(chunks)
            for path, chunk in chunks:
                while not line.room:
                    yield from self._settle(on_the_way, left)
                packet = line.publish(Message(f"{self._topic}/{path}", chunk, retain=True))
                on_the_way[packet] = ref
        while left:
            yield from self._settle(on_the_way, left)

    def _settle(self, on_the_way: dict[int, BlobRef], left: dict[BlobRef, int]) -> list[BlobRef]:
        """Blobs of which the last chunk was acknowledged."""
        self._line.turn(0.2)
        done: list[BlobRef] = []
        for packet in self._line.take_acknowledged():
            ref = on_the_way.pop(packet, None)
            if ref is None:
                continue
            left[ref] -= 1
            if not left[ref]:
                del left[ref]
                done.append(ref)
        return done


def _batches(refs: Sequence[BlobRef]) -> Iterator[list[BlobRef]]:
    """A few blobs at a time, so that no batch has many more chunks than may be asked for."""
    batch: list[BlobRef] = []
    chunks = 0
    for ref in refs:
        batch.append(ref)
        chunks += len(ref.paths)
        if chunks >= BATCH_CHUNKS:
            yield batch
            batch, chunks = [], 0
    if batch:
        yield batch
