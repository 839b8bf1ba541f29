"""What is said about releases at the broker: their head, and how every device stands with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_reid.core.errors import BundleError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, Received, connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.retained import read_retained
from edge_reid.release.rollout import Reports
from edge_reid.wire.payloads import DeviceUpdate
from edge_reid.wire.topics import AGENT_UPDATE, Address, release_topic

GRACE_S = 2.0
"""When nothing retained has come for so long, all has."""
MOST_BYTES = 16 << 20
"""Of the head and all reports: of each a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """All that is retained."""

    head: bytes | None
    """Sealed; None: no release is published."""
    reports: Reports


class ReleaseChannel:
    """A connection to the broker. `with` connects and leaves.

    Raises:
        BrokerError: on entering, when the broker is not there or refuses us; in every method, when
            the connection is lost.
    """

    def __init__(self, broker: Broker, root: str, site: str) -> None:
        self._broker = broker
        self._root = root
        self._site = site
        self._topic = release_topic(root, site)
        self._connection: Connection | None = None

    def __enter__(self) -> ReleaseChannel:
        self._connection = connect(self._broker)
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()

    def listen(self) -> ChannelState:
        """The head and the reports that lie there."""
        self._line.received.clear()
        self._line.subscribe([self._topic, AGENT_UPDATE.filter(self._root, self._site)])
        received = read_retained(
            self._line.receive, quiet_s=GRACE_S, most_bytes=MOST_BYTES
        ).messages
        heads = [it.body for it in received if it.topic == self._topic]
        return ChannelState(heads[-1] or None if heads else None, self._reports(received))

    def tell(self, update: DeviceUpdate) -> None:
        """Leave a report of our device."""
        topic = Address(self._root, self._site, update.agent).agent_update
        self._send(Message(topic, update.to_json(), retain=True))

    def put_head(self, sealed: bytes) -> None:
        """Publish a head in the place of the one there; an empty one clears it.

        Raises:
            BundleError: somebody else did so at the same moment.
        """
        self._line.check_that_it_retains("a release")
        self._send(Message(self._topic, sealed, retain=True))
        if (self.listen().head or b"") != sealed:
            raise BundleError(
                f"{self._broker}: another release was published at the same moment; publish again"
            )

    @property
    def _line(self) -> Connection:
        assert self._connection is not None, "use it in a with statement"  # noqa: S101
        return self._connection

    def _send(self, message: Message) -> None:
        self._line.publish(message)
        while not self._line.is_idle:
            self._line.turn(1.0)

    def _reports(self, received: Iterable[Received]) -> Reports:
        """By the agent whose topic it is; who claims to be another is not heard."""
        found: dict[str, DeviceUpdate] = {}
        for message in received:
            names = AGENT_UPDATE.names_in(message.topic, self._root)
            try:
                report = DeviceUpdate.model_validate_json(message.body)
            except ValueError:
                continue
            if names and report.agent == names["agent"]:
                found[report.agent] = report
        return found
