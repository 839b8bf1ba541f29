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
from dataclasses import dataclass, replace

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_reid.mqtt.broker import Broker, RefusedError, TooLargeError, UnreachableError
from edge_reid.mqtt.limits import (
    RETAIN_NOT_SUPPORTED,
    WINDOW,
    BrokerLimits,
    is_for_good,
    packet_bytes,
)
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.refusals import Refusal
from edge_reid.mqtt.waker import Waker

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 5.0
HELLO_TIMEOUT_S = 2.0
"""The same for our first words in MQTT 5: amqtt waits for ever when it does not understand them."""
PACKET_BYTES = 1 << 20
"""What is larger the broker keeps to itself (MQTT 5), and nothing of it is read: all that we have a
use for is far smaller."""
LARGE_BYTES = 4096
"""Larger messages are named when a broker hangs up at one without a word."""

__all__ = ["WINDOW", "Connection", "Received", "Session", "connect", "resume"]

_UNSUPPORTED_VERSION = 0x84
_TAKEN_OVER = 0x8E
_REFUSE_TOPIC = {0x87, 0x90}
"""Not authorised, topic name invalid."""
_REFUSALS = {0x85, 0x86, 0x87, 0x8A, 0x8C}
"""Client id not valid, bad login, not authorised, banned, bad authentication method."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that came."""

    topic: str
    body: bytes
    retained: bool
    """It lay at the broker when we subscribed."""
    packet_id: int = 0
    """For `Connection.acknowledge`, in a session that we acknowledge ourselves."""
    user_properties: tuple[tuple[str, str], ...] = ()
    """Names and values that came with it (MQTT 5): of the publisher, the broker, or both."""


@dataclass(frozen=True, slots=True)
class Session:
    """One that the broker keeps while we are away. Every message in it is ours to acknowledge;
    what we did not acknowledge comes again when we come back. Needs MQTT 5.
    """

    expiry_s: int
    """For how long it is kept."""
    unacknowledged_max: int
    """How many messages the broker may have sent that we have not acknowledged yet."""


def connect(
    broker: Broker,
    *,
    client_id: str = "",
    will: Message | None = None,
    version: MQTTProtocolVersion | None = None,
) -> Connection:
    """A connection by MQTT 5, or by 3.1.1 to a broker that does not speak it.

    `version` is what the broker is known to speak; None finds it out. Where the broker retains
    nothing, the last will is not retained either.

    Raises:
        RefusedError: the broker does not want us, or we do not trust it.
        UnreachableError: nobody is there, or not a broker.
    """
    try:
        return Connection(broker, version or MQTTProtocolVersion.MQTTv5, client_id, will)
    except _RetainsNothingError:
        if will is None or not will.retain:
            raise
        return connect(
            broker, client_id=client_id, will=replace(will, retain=False), version=version
        )
    except _OldBrokerError:
        if version is not None:
            raise
        return Connection(broker, MQTTProtocolVersion.MQTTv311, client_id, will)


def resume(broker: Broker, client_id: str, session: Session) -> Connection:
    """A connection that goes on with its session where the last one ended.

    Raises:
        RefusedError, UnreachableError: as `connect`; also for a broker without MQTT 5.
    """
    return Connection(broker, MQTTProtocolVersion.MQTTv5, client_id, session=session)


class _OldBrokerError(UnreachableError):
    """It says that it does not speak our MQTT, hung up at it, or is silent."""


class _RetainsNothingError(RefusedError):
    """It does not take a last will that is to be retained."""


class _OversizeError(Exception):
    """A packet is about to come that is larger than any we have a use for."""


class _Client(paho.Client):
    """Believes no length before it is seen to be one that we take: paho would read it all."""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > PACKET_BYTES:
            raise _OversizeError(f"{bufsize:,}")
        return super()._sock_recv(bufsize)


class Connection:
    """An open connection; `connect` makes one. Once a method has raised, it is over, but for
    TooLargeError.
    """

    def __init__(
        self,
        broker: Broker,
        version: MQTTProtocolVersion,
        client_id: str = "",
        will: Message | None = None,
        session: Session | None = None,
    ) -> None:
        self.version = version
        self.received: deque[Received] = deque()
        self._broker = broker
        self.limits = BrokerLimits()
        self._is_open = False  # until the broker has agreed
        self._subscribed = False
        self._refusal: ReasonCode | None = None  # of what was asked for last
        self._sent: dict[int, Message] = {}  # by packet id, not acknowledged yet
        self._acknowledged: list[int] = []
        self.outlives_refusals = False
        """Whether a message that is not taken ends the connection, or is for `take_refused`."""
        self._refused: dict[int, Refusal] = {}
        self._failure: RefusedError | UnreachableError | None = None
        self._session = session
        self._client = self._make_client(client_id, will)
        self._open()

    @property
    def room(self) -> int:
        """How many messages may be sent before one is acknowledged."""
        return self.limits.window - len(self._sent)

    @property
    def is_idle(self) -> bool:
        """Whether everything sent is acknowledged."""
        return not self._sent

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
            properties=self._publish_properties(message),
        )
        self._sent[info.mid] = message
        return info.mid

    def check_that_it_retains(self, what: str) -> None:
        """Raise RefusedError unless the broker keeps retained messages, as which `what` is sent."""
        if not self.limits.retains:
            self.abort()
            raise RefusedError(
                f"{self._broker}: retains nothing, so {what} would be lost at once; turn retained "
                "messages on there (Mosquitto: retain_available)"
            )

    def subscribe(self, filters: Iterable[str], *, qos: int = 1) -> None:
        """Ask for topics, and wait until the broker has agreed.

        Raises:
            RefusedError, UnreachableError: it does not; the connection is over.
        """
        if refusal := self._ask_for(filters, qos):
            self.abort()
            raise RefusedError(
                f"{self._broker}: does not let us subscribe: {refusal};"
                " check what this login may read"
            )

    def subscribe_if_allowed(self, filters: Iterable[str], *, qos: int = 1) -> bool:
        """The same for what can be done without: whether the broker has agreed."""
        return self._ask_for(filters, qos) is None

    def _ask_for(self, filters: Iterable[str], qos: int) -> ReasonCode | None:
        self._subscribed = False
        self._client.subscribe([(topic_filter, qos) for topic_filter in filters])
        self._await(lambda: self._subscribed)
        return self._refusal

    def receive(self, timeout_s: float) -> Received | None:
        """The next message, or None when none came in time."""
        deadline_s = time.monotonic() + timeout_s
        while not self.received and (left_s := deadline_s - time.monotonic()) > 0:
            self.turn(left_s)
        return self.received.popleft() if self.received else None

    def take_acknowledged(self) -> list[int]:
        """Packet ids that the broker has confirmed since the last call."""
        taken, self._acknowledged = self._acknowledged, []
        return taken

    def take_refused(self) -> dict[int, Refusal]:
        """Packet ids that the broker does not take, since the last call."""
        taken, self._refused = self._refused, {}
        return taken

    def acknowledge(self, received: Received) -> None:
        """Tell the broker that a message of our session is safe and need not come again."""
        self._client.ack(received.packet_id, 1)

    def turn(self, timeout_s: float, waker: Waker | None = None) -> None:
        """Wait for the network, or until woken, and do what there is to do.

        Raises:
            RefusedError, UnreachableError: the connection is over, and why.
        """
        link = self._client.socket()
        if link is None:
            raise self._failure or self._gone("hung up")
        decrypted = isinstance(link, ssl.SSLSocket) and link.pending() > 0
        writing = [link] if self._client.want_write() else []
        reading: list[paho.SocketLike | Waker] = [link, waker] if waker else [link]
        readable, writable, _ = select.select(reading, writing, [], 0 if decrypted else timeout_s)
        if waker and waker in readable:
            waker.clear()
        if link in readable or decrypted:
            self._read()
        if link in writable:
            self._client.loop_write()
        self._client.loop_misc()
        if self._failure:
            self.abort()
            raise self._failure

    def _read(self) -> None:
        try:
            self._client.loop_read()
        except _OversizeError as error:
            self._failure = UnreachableError(
                f"{self._broker}: expected messages of {PACKET_BYTES:,} bytes at most, it sends one"
                f" of {error}; bound them there (Mosquitto: message_size_limit)"
            )
        if self._client._in_messages:  # noqa: SLF001 - paho keeps QoS 2 until it is released
            self._failure = UnreachableError(
                f"{self._broker}: sends with QoS 2, which nobody asked for"
            )

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

    def _make_client(self, client_id: str, will: Message | None) -> paho.Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=self.version,
            reconnect_on_failure=False,
            manual_ack=self._session is not None,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._broker.tls:
            client.tls_set_context(self._broker.tls)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        if will:
            client.will_set(will.topic, will.text, qos=1, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _open(self) -> None:
        broker = self._broker
        try:
            self._client.connect(
                broker.host,
                broker.port,
                broker.keepalive_s,
                clean_start=paho.MQTT_CLEAN_START_FIRST_ONLY if self._session is None else False,
                properties=self._hello_properties(),
            )
        except ssl.SSLCertVerificationError as error:
            raise RefusedError(
                f"{broker}: its certificate is not to be trusted: {error.verify_message};"
                " give the CA that signed it (ca_file), and the name it was made for"
            ) from error
        except OSError as error:
            raise UnreachableError(
                f"{broker}: {error.strerror or error}; check the address, and that a broker runs"
            ) from error
        is_new = self.version is MQTTProtocolVersion.MQTTv5
        self._await(lambda: self._is_open, HELLO_TIMEOUT_S if is_new else ANSWER_TIMEOUT_S)

    def _hello_properties(self) -> Properties | None:
        if self.version is not MQTTProtocolVersion.MQTTv5:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = PACKET_BYTES
        if self._session:
            properties.SessionExpiryInterval = self._session.expiry_s
            properties.ReceiveMaximum = self._session.unacknowledged_max
        return properties

    def _publish_properties(self, message: Message) -> Properties | None:
        if message.expiry_s is None or self.version is not MQTTProtocolVersion.MQTTv5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = message.expiry_s
        return properties

    def _await(self, is_done: Callable[[], bool], timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() > deadline_s:
                self.abort()
                raise self._gone("gives no answer")
            self.turn(0.1)

    def _gone(self, what: str) -> UnreachableError:
        if self._is_open:
            large_bytes = max(map(packet_bytes, self._sent.values()), default=0)
            hint = ""
            if large_bytes > LARGE_BYTES:
                hint = f"; a message of {large_bytes:,} bytes was on its way: does it take so many?"
            return UnreachableError(f"{self._broker}: {what}; the connection is lost{hint}")
        hint = "is this the port of an MQTT broker?"
        if self._broker.tls:  # by TLS 1.3 its refusal of our certificate comes as this
            hint += " Does it want another certificate (cert_file, key_file) of us?"
        return _OldBrokerError(f"{self._broker}: {what}; {hint}")

    def _on_connect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, flags
        if reason.value == _UNSUPPORTED_VERSION:
            self._failure = _OldBrokerError(f"{self._broker}: speaks another version of MQTT")
        elif reason.value == RETAIN_NOT_SUPPORTED:
            self._failure = _RetainsNothingError(
                f"{self._broker}: {self.limits.refusal(reason, properties)}"
            )
        elif reason.value in _REFUSALS:
            self._failure = RefusedError(
                f"{self._broker}: refuses us: {reason}; check the username and the password file"
            )
        elif reason.is_failure:
            kind = RefusedError if is_for_good(reason) else UnreachableError
            why = self.limits.refusal(reason, properties)
            self._failure = kind(f"{self._broker}: does not take us now: {why}")
        else:
            self.limits = BrokerLimits.of(properties)
            self._is_open = True
            if not self.limits.takes_qos_1:
                self._failure = RefusedError(
                    f"{self._broker}: takes QoS 0 only, which confirms nothing, so events could be"
                    " lost; let QoS 1 in there (Mosquitto: max_qos 1)"
                )

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata
        if flags.is_disconnect_packet_from_server and self._failure is None:
            kind = RefusedError if is_for_good(reason) else UnreachableError
            why = self.limits.refusal(reason, properties)
            self._failure = kind(f"{self._broker}: ended the connection: {why}")

    def _on_publish(
        self,
        client: paho.Client,
        userdata: object,
        mid: int,
        reason: ReasonCode,
        properties: Properties,
    ) -> None:
        del client, userdata
        message = self._sent.pop(mid, None)
        why = self.limits.refusal(reason, properties) if reason.is_failure else ""
        if reason.is_failure and self.outlives_refusals:
            self._refused[mid] = Refusal(why, is_of_topic=reason.value in _REFUSE_TOPIC)
        elif reason.is_failure:
            topic = message.topic if message else "a topic"
            self._failure = RefusedError(
                f"{self._broker}: does not take messages on {topic}: {why}"
            )
        else:
            self._acknowledged.append(mid)

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties,
    ) -> None:
        del client, userdata, mid, properties
        self._subscribed = True
        self._refusal = next((reason for reason in reasons if reason.is_failure), None)

    def _on_message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        del client, userdata
        try:
            topic = message.topic
        except UnicodeDecodeError:  # which MQTT forbids
            self._failure = UnreachableError(f"{self._broker}: sends a topic that is not UTF-8")
            return
        properties = tuple(getattr(message.properties, "UserProperty", ()))
        self.received.append(
            Received(topic, bytes(message.payload), message.retain, message.mid, properties)
        )
