"""One MQTT connection, driven by the thread that made it.

paho-mqtt speaks the protocol; the loop, the waiting and the reconnecting are ours, so that nothing
waits in any queue but the outbox, and every failure arrives as an exception with a reason.
"""

from __future__ import annotations

import contextlib
import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge_reid.mqtt.answers import Answers, OldBrokerError, RetainsNothingError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.limits import BrokerLimits
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.message_transport import RefusedError, TooLargeError, UnreachableError
from edge_reid.mqtt.paho_client import (
    PACKET_BYTES,
    Greeting,
    OversizeError,
    greet,
    new_client,
    publish_properties,
)
from edge_reid.mqtt.refusals import Refusal
from edge_reid.mqtt.router import Listener, Router
from edge_reid.mqtt.session import Session
from edge_reid.mqtt.waker import Waker

ANSWER_TIMEOUT_S = 5.0
GREETING_TIMEOUT_S = 2.0
"""The same for our first words in MQTT 5: amqtt waits for ever when it does not understand them."""
VERSIONS = {
    "auto": None,
    "5": MQTTProtocolVersion.MQTTv5,
    "3.1.1": MQTTProtocolVersion.MQTTv311,
}
"""By the setting `mqtt.protocol`; None: it is found out."""

__all__ = ["Connection", "MqttTransport", "Received", "connect", "resume"]


def connect(
    broker: Broker,
    *,
    client_id: str = "",
    will: Message | None = None,
    version: MQTTProtocolVersion | None = None,
) -> Connection:
    """A connection by MQTT 5, or by 3.1.1 to a broker that does not speak it.

    `version` is what the broker is known to speak; None: as its settings say, which may be to find
    it out. Where the broker retains nothing, the last will is not retained either. Of a cluster,
    the first node that answers is taken.

    Raises:
        RefusedError: the broker does not want us, or we do not trust it.
        UnreachableError: nobody is there, or not a broker.
    """
    known = version or VERSIONS[broker.protocol]
    return _to_any(broker, lambda node: _connect(node, client_id, will, known))


def resume(broker: Broker, client_id: str, session: Session) -> Connection:
    """A connection that goes on with its session where the last one ended.

    Raises:
        RefusedError, UnreachableError: as `connect`; also for a broker without MQTT 5.
    """
    greeting = Greeting(MQTTProtocolVersion.MQTTv5, client_id, session=session)
    return _to_any(broker, lambda node: Connection(node, greeting))


def _to_any(broker: Broker, open_node: Callable[[Broker], Connection]) -> Connection:
    """To the first node that is there; one that refuses us speaks for all."""
    *others, last = broker.nodes
    for node in others:
        with contextlib.suppress(UnreachableError):
            return open_node(node)
    try:
        return open_node(last)
    except UnreachableError as error:
        if others:
            raise UnreachableError(
                f"none of {len(broker.nodes)} nodes is there; the last: {error}"
            ) from error
        raise


def _connect(
    node: Broker, client_id: str, will: Message | None, version: MQTTProtocolVersion | None
) -> Connection:
    """To one node, and nowhere else."""
    greeting = Greeting(version or MQTTProtocolVersion.MQTTv5, client_id, will)
    try:
        return Connection(node, greeting)
    except RetainsNothingError:
        if will is None or not will.retain:
            raise
        return _connect(node, client_id, replace(will, retain=False), version)
    except OldBrokerError:
        if version is not None:
            raise
        return Connection(node, replace(greeting, version=MQTTProtocolVersion.MQTTv311))


class MqttTransport:
    """The way to a broker by MQTT. A connection without a client id finds out which version the
    broker speaks; one with a client id is opened in that version at once. Of a cluster, each
    connection begins with any node.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._version: MQTTProtocolVersion | None = None

    def __str__(self) -> str:
        return str(self._broker)

    def connect(self, *, client_id: str = "", will: Message | None = None) -> Connection:
        """As `connection.connect`."""
        version = self._version if client_id else None
        connection = connect(self._broker.shuffled, client_id=client_id, will=will, version=version)
        self._version = connection.version
        return connection


class Connection:
    """An open connection; `connect` makes one. Once a method has raised, it is over, but for
    TooLargeError.
    """

    def __init__(self, broker: Broker, greeting: Greeting) -> None:
        self.version = greeting.version
        self.received: deque[Received] = deque()
        """Messages that no listener takes, for `receive`."""
        self._broker = broker
        self._router = Router()
        self._subscribed: set[str] = set()  # for `receive`, whoever else listens
        self._answers = Answers(broker)
        self._client = new_client(broker, greeting)
        self._answers.attach(self._client)
        greet(self._client, broker, greeting)
        is_new = self.version is MQTTProtocolVersion.MQTTv5
        self._await(
            lambda: self._answers.is_open, GREETING_TIMEOUT_S if is_new else ANSWER_TIMEOUT_S
        )

    @property
    def limits(self) -> BrokerLimits:
        """What the broker takes."""
        return self._answers.limits

    @property
    def outlives_refusals(self) -> bool:
        """Whether a message that is not taken ends the connection, or is for `take_refused`."""
        return self._answers.outlives_refusals

    @outlives_refusals.setter
    def outlives_refusals(self, outlives: bool) -> None:
        self._answers.outlives_refusals = outlives

    @property
    def repeated_qos(self) -> int:
        """1; 0 at brokers of MQTT 3.1.1 alone: NATS keeps a place on the disks of several nodes for
        each subscription with 1, while Mosquitto drops messages with 0 when somebody reads slowly.
        """
        return 1 if self.version is MQTTProtocolVersion.MQTTv5 else 0

    @property
    def room(self) -> int:
        """How many messages may be sent before one is acknowledged."""
        return self.limits.window - len(self._answers.sent)

    @property
    def is_idle(self) -> bool:
        """Whether everything sent is acknowledged."""
        return not self._answers.sent

    def publish(self, message: Message) -> int:
        """Send with QoS 1; returns the packet id that `take_acknowledged` will give back.

        Raises:
            TooLargeError: the broker takes nothing so large; nothing was sent.
        """
        if excess := self.limits.excess(message):
            raise TooLargeError(f"{self._broker}: {excess}")
        info = self._client.publish(
            message.topic,
            message.text,
            qos=1,
            retain=message.retain and self.limits.retains,
            properties=publish_properties(message, self.version),
        )
        self._answers.sent[info.mid] = message
        return info.mid

    def check_that_it_retains(self, what: str) -> None:
        """Raise RefusedError unless the broker keeps retained messages, as which `what` is sent."""
        if not self.limits.retains:
            self.abort()
            raise RefusedError(
                f"{self._broker}: retains nothing, so {what} would be lost at once; turn retained "
                "messages on there (Mosquitto: retain_available)"
            )

    def listen(
        self, filters: Iterable[str], hear: Callable[[Received], None], *, qos: int = 1
    ) -> Listener:
        """Subscribe, and have `hear` called with every message that fits a filter.

        It may be called at any time, also for filters that overlap with another listener's.

        Raises:
            RefusedError, UnreachableError: the broker does not agree; the connection is over.
        """
        listener = self._add(filters, hear)
        self._check(self._subscribe(listener.filters, qos))
        return listener

    def listen_if_allowed(
        self, filters: Iterable[str], hear: Callable[[Received], None], *, qos: int = 1
    ) -> Listener:
        """The same for what can be done without: what the broker refuses is not heard."""
        listener = self._add(filters, hear)
        self._subscribe(listener.filters, qos)
        return listener

    def stop_listening(self, listener: Listener) -> None:
        """Call a listener no more, and unsubscribe from what no other one listens to."""
        self._router.remove(listener)
        unheard = set(listener.filters) - self._router.filters - self._subscribed
        if unheard:
            self._answers.awaits_filters = True
            self._client.unsubscribe(sorted(unheard))
            self._await(lambda: not self._answers.awaits_filters)

    def subscribe(self, filters: Iterable[str], *, qos: int = 1) -> None:
        """Ask for topics whose messages `receive` gives, and wait until the broker has agreed.

        Raises:
            RefusedError, UnreachableError: it does not; the connection is over.
        """
        asked = tuple(filters)
        self._subscribed |= set(asked)
        self._check(self._subscribe(asked, qos))

    def ask_again(self, filters: Iterable[str], *, qos: int) -> None:
        """Subscribe once more to what is listened to: the broker sends anew what lies retained.

        Raises:
            RefusedError, UnreachableError: as `listen`.
        """
        self._check(self._subscribe(filters, qos))

    def receive(self, timeout_s: float) -> Received | None:
        """The next message that no listener takes, or None when none came in time."""
        deadline_s = time.monotonic() + timeout_s
        while not self.received and (left_s := deadline_s - time.monotonic()) > 0:
            self.turn(left_s)
        return self.received.popleft() if self.received else None

    def take_acknowledged(self) -> list[int]:
        """Packet ids that the broker has confirmed since the last call."""
        taken, self._answers.acknowledged = self._answers.acknowledged, []
        return taken

    def take_refused(self) -> dict[int, Refusal]:
        """Packet ids that the broker does not take, since the last call."""
        taken, self._answers.refused = self._answers.refused, {}
        return taken

    def acknowledge(self, received: Received) -> None:
        """Tell the broker that a message of our session is safe and need not come again."""
        self._client.ack(received.packet_id, 1)

    def turn(self, timeout_s: float, waker: Waker | None = None) -> None:
        """Wait for the network, or until woken, do what there is to do, and call the listeners.

        Raises:
            RefusedError, UnreachableError: the connection is over, and why.
        """
        link = self._client.socket()
        if link is None:
            raise self._answers.failure or self._answers.gone("hung up")
        decrypted = isinstance(link, ssl.SSLSocket) and link.pending() > 0
        writing = [link] if self._client.want_write() else []
        reading: list[paho.SocketLike | Waker] = [link, waker] if waker else [link]
        readable, writable, _ = select.select(reading, writing, [], 0 if decrypted else timeout_s)
        if waker and waker in readable:
            waker.clear()
        if link in readable or decrypted:
            self._read()
            self._route()
        if link in writable:
            self._client.loop_write()
        self._client.loop_misc()
        if self._answers.failure:
            self.abort()
            raise self._answers.failure

    def close(self) -> None:
        """Say goodbye, so that the broker does not send the last will."""
        self._client.disconnect()
        with contextlib.suppress(RefusedError, UnreachableError):
            while self._client.want_write():
                self.turn(0.1)
        self.abort()

    def abort(self) -> None:
        """Hang up without a word; the broker sends the last will."""
        link = self._client.socket()
        if link is not None:
            link.close()

    def _read(self) -> None:
        try:
            self._client.loop_read()
        except OversizeError as error:
            self._answers.failure = UnreachableError(
                f"{self._broker}: expected messages of {PACKET_BYTES:,} bytes at most, it sends one"
                f" of {error}; bound them there (Mosquitto: message_size_limit)"
            )
        if self._client._in_messages:  # noqa: SLF001 - paho keeps QoS 2 until it is released
            self._answers.failure = UnreachableError(
                f"{self._broker}: sends with QoS 2, which nobody asked for"
            )

    def _route(self) -> None:
        while self._answers.arrived:
            message = self._answers.arrived.popleft()
            if not self._router.route(message):
                self.received.append(message)

    def _add(self, filters: Iterable[str], hear: Callable[[Received], None]) -> Listener:
        """Before it is subscribed: what lies retained comes ahead of the broker's word, and what a
        session kept came with its greeting.
        """
        listener = Listener(tuple(filters), hear)
        self._router.add(listener)
        self._answers.arrived.extendleft(reversed(self.received))
        self.received.clear()
        self._route()
        return listener

    def _subscribe(self, filters: Iterable[str], qos: int) -> ReasonCode | None:
        """Why the broker does not agree; None: it does."""
        self._answers.awaits_filters = True
        self._client.subscribe([(topic_filter, qos) for topic_filter in filters])
        self._await(lambda: not self._answers.awaits_filters)
        return self._answers.filters_refusal

    def _check(self, refusal: ReasonCode | None) -> None:
        if refusal:
            self.abort()
            raise RefusedError(
                f"{self._broker}: does not let us subscribe: {refusal};"
                " check what this login may read"
            )

    def _await(self, is_done: Callable[[], bool], timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() > deadline_s:
                self.abort()
                raise self._answers.gone("gives no answer")
            self.turn(0.1)
