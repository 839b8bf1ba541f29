"""paho's client, made as we want it: bounded, with our login, and without a loop of its own."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.message_transport import RefusedError, UnreachableError
from edge_reid.mqtt.session import Session

CONNECT_TIMEOUT_S = 5.0
PACKET_BYTES = 1 << 20
"""What is larger the broker keeps to itself (MQTT 5), and nothing of it is read: all that we have a
use for is far smaller."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What we say of ourselves when we connect."""

    version: MQTTProtocolVersion
    client_id: str = ""
    will: Message | None = None
    session: Session | None = None


class OversizeError(Exception):
    """A packet is about to come that is larger than any we have a use for."""


class _Client(paho.Client):
    """Believes no length before it is seen to be one that we take: paho would read it all."""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > PACKET_BYTES:
            raise OversizeError(f"{bufsize:,}")
        return super()._sock_recv(bufsize)


def new_client(broker: Broker, greeting: Greeting) -> paho.Client:
    """A client that is not connected yet."""
    client = _Client(
        CallbackAPIVersion.VERSION2,
        client_id=greeting.client_id,
        protocol=greeting.version,
        reconnect_on_failure=False,
        manual_ack=greeting.session is not None,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    if broker.tls:
        client.tls_set_context(broker.tls)
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if will := greeting.will:
        client.will_set(will.topic, will.text, qos=1, retain=will.retain)
    return client


def greet(client: paho.Client, broker: Broker, greeting: Greeting) -> None:
    """Reach the broker and send the greeting (CONNECT); what it answers comes later.

    Raises:
        RefusedError: its certificate is not to be trusted.
        UnreachableError: nobody is there.
    """
    is_new = greeting.session is None
    try:
        client.connect(
            broker.host,
            broker.port,
            broker.keepalive_s,
            clean_start=paho.MQTT_CLEAN_START_FIRST_ONLY if is_new else False,
            properties=_greeting_properties(greeting),
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


def publish_properties(message: Message, version: MQTTProtocolVersion) -> Properties | None:
    """What goes with a message; None where there is nothing to say, or no word for it."""
    if message.expiry_s is None or version is not MQTTProtocolVersion.MQTTv5:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = message.expiry_s
    return properties


def _greeting_properties(greeting: Greeting) -> Properties | None:
    if greeting.version is not MQTTProtocolVersion.MQTTv5:
        return None
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = PACKET_BYTES
    if greeting.session:
        properties.SessionExpiryInterval = greeting.session.expiry_s
        properties.ReceiveMaximum = greeting.session.unacknowledged_max
    return properties
