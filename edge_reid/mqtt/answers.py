"""What a broker answers on one connection: paho's callbacks, and what they leave to be read."""

from __future__ import annotations

from collections import deque

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.limits import RETAIN_NOT_SUPPORTED, BrokerLimits, is_for_good, packet_bytes
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.message_transport import RefusedError, UnreachableError
from edge_reid.mqtt.refusals import Refusal

LARGE_BYTES = 4096
"""Larger messages are named when a broker hangs up at one without a word."""

_UNSUPPORTED_VERSION = 0x84
_REFUSE_TOPIC = {0x87, 0x90}
"""Not authorised, topic name invalid."""
_REFUSALS = {0x85, 0x86, 0x87, 0x8A, 0x8C}
"""Client id not valid, bad login, not authorised, banned, bad authentication method."""


class OldBrokerError(UnreachableError):
    """It says that it does not speak our MQTT, hung up at it, or is silent."""


class RetainsNothingError(RefusedError):
    """It does not take a last will that is to be retained."""


class Answers:
    """What has come of a broker so far, and what it has not answered yet."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.limits = BrokerLimits()
        self.is_open = False
        """Whether the broker has let us in."""
        self.failure: RefusedError | UnreachableError | None = None
        """Why the connection is over; None while it is not."""
        self.outlives_refusals = False
        self.arrived: deque[Received] = deque()
        """Messages that nobody has heard yet, oldest first."""
        self.sent: dict[int, Message] = {}
        """Not acknowledged yet, by packet id."""
        self.acknowledged: list[int] = []
        self.refused: dict[int, Refusal] = {}
        self.awaits_filters = False
        """Whether the broker still owes a word on filters that were asked for, or given up."""
        self.filters_refusal: ReasonCode | None = None
        """Of the filters that were asked for last."""

    def attach(self, client: paho.Client) -> None:
        """Have a client report here."""
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_filters
        client.on_unsubscribe = self._on_filters
        client.on_message = self._on_message

    def gone(self, what: str) -> UnreachableError:
        """The error for a connection that is over without the broker's word why."""
        if self.is_open:
            large_bytes = max(map(packet_bytes, self.sent.values()), default=0)
            hint = ""
            if large_bytes > LARGE_BYTES:
                hint = f"; a message of {large_bytes:,} bytes was on its way: does it take so many?"
            return UnreachableError(f"{self._broker}: {what}; the connection is lost{hint}")
        hint = "is this the port of an MQTT broker?"
        if self._broker.tls:  # by TLS 1.3 its refusal of our certificate comes as this
            hint += " Does it want another certificate (cert_file, key_file) of us?"
        return OldBrokerError(f"{self._broker}: {what}; {hint}")

    def _on_connect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, flags
        if reason.is_failure:
            self.failure = self._objection(reason, properties)
            return
        self.limits = BrokerLimits.of(properties)
        self.is_open = True
        if not self.limits.takes_qos_1:
            self.failure = RefusedError(
                f"{self._broker}: takes QoS 0 only, which confirms nothing, so events could be"
                " lost; let QoS 1 in there (Mosquitto: max_qos 1)"
            )

    def _objection(
        self, reason: ReasonCode, properties: Properties | None
    ) -> RefusedError | UnreachableError:
        """Why the broker does not let us in."""
        why = self.limits.refusal(reason, properties)
        if reason.value == _UNSUPPORTED_VERSION:
            return OldBrokerError(f"{self._broker}: speaks another version of MQTT")
        if reason.value == RETAIN_NOT_SUPPORTED:
            return RetainsNothingError(f"{self._broker}: {why}")
        if reason.value in _REFUSALS:
            return RefusedError(
                f"{self._broker}: refuses us: {reason}; check the username and the password file"
            )
        kind = RefusedError if is_for_good(reason) else UnreachableError
        return kind(f"{self._broker}: does not take us now: {why}")

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata
        if flags.is_disconnect_packet_from_server and self.failure is None:
            kind = RefusedError if is_for_good(reason) else UnreachableError
            why = self.limits.refusal(reason, properties)
            self.failure = kind(f"{self._broker}: ended the connection: {why}")

    def _on_publish(
        self,
        client: paho.Client,
        userdata: object,
        mid: int,
        reason: ReasonCode,
        properties: Properties,
    ) -> None:
        del client, userdata
        message = self.sent.pop(mid, None)
        why = self.limits.refusal(reason, properties) if reason.is_failure else ""
        if reason.is_failure and self.outlives_refusals:
            self.refused[mid] = Refusal(why, is_of_topic=reason.value in _REFUSE_TOPIC)
        elif reason.is_failure:
            topic = message.topic if message else "a topic"
            self.failure = RefusedError(f"{self._broker}: does not take messages on {topic}: {why}")
        else:
            self.acknowledged.append(mid)

    def _on_filters(
        self,
        client: paho.Client,
        userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        """SUBACK or UNSUBACK."""
        del client, userdata, mid, properties
        self.awaits_filters = False
        self.filters_refusal = next((reason for reason in reasons if reason.is_failure), None)

    def _on_message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        del client, userdata
        try:
            topic = message.topic
        except UnicodeDecodeError:  # which MQTT forbids
            self.failure = UnreachableError(f"{self._broker}: sends a topic that is not UTF-8")
            return
        properties = tuple(getattr(message.properties, "UserProperty", ()))
        self.arrived.append(
            Received(topic, bytes(message.payload), message.retain, message.mid, properties)
        )
