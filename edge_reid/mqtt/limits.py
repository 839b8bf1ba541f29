"""What a broker takes of us, as it says itself, and its reasons for saying no, in our words."""

from __future__ import annotations

from dataclasses import dataclass

from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_reid.core.foreign_text import shown
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.message_transport import WINDOW

RETAIN_NOT_SUPPORTED = 0x9A
_PACKET_TOO_LARGE = 0x95

_ADVICE = {
    0x87: "check what this login may do there",
    0x89: "it is busy; we try later",
    0x8B: "it is being stopped; we try later",
    0x8E: "somebody else took our client id",
    0x90: "check the name of the root topic (mqtt.root)",
    0x96: "we send more at a time than it lets one client",
    0x97: "raise this client's quota there",
    0x9A: "turn retained messages on there",
    0x9B: "let QoS 1 in there: QoS 0 confirms nothing",
    0x9C: "give the address of that other broker",
    0x9D: "give its new address",
}
"""By MQTT 5's reason code."""
_FOR_GOOD = {0x87, 0x90, _PACKET_TOO_LARGE, RETAIN_NOT_SUPPORTED, 0x9B}
"""Trying again soon is of no use."""


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """What a broker takes. MQTT 3.1.1 has no words for it: then it is believed to take all."""

    window: int = WINDOW
    """Messages that may be on their way."""
    packet_bytes: int | None = None
    """Of a packet; None: as many as MQTT has room for."""
    retains: bool = True
    """Whether it keeps retained messages."""
    takes_qos_1: bool = True

    @classmethod
    def of(cls, properties: Properties | None) -> BrokerLimits:
        """From what came with its greeting (CONNACK)."""
        return cls(
            window=min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW)),
            packet_bytes=getattr(properties, "MaximumPacketSize", None),
            retains=bool(getattr(properties, "RetainAvailable", 1)),
            takes_qos_1=getattr(properties, "MaximumQoS", 2) >= 1,
        )

    def excess(self, message: Message) -> str | None:
        """Why a message is too large, in words; None: it is not."""
        size_bytes = packet_bytes(message)
        if self.packet_bytes is None or size_bytes <= self.packet_bytes:
            return None
        return (
            f"takes {self.packet_bytes:,} bytes at most, the message on {message.topic} has "
            f"{size_bytes:,}; raise its largest packet (Mosquitto: max_packet_size)"
        )

    def refusal(self, reason: ReasonCode, properties: Properties | None = None) -> str:
        """A reason in words, with what to do about it."""
        said = getattr(properties, "ReasonString", "")
        advice = _ADVICE.get(reason.value, "")
        if reason.value == _PACKET_TOO_LARGE:
            known = "" if self.packet_bytes is None else f": {self.packet_bytes:,} bytes at most"
            advice = f"raise its largest packet or message{known}"
        return "; ".join(filter(None, (str(reason), shown(said), advice)))


def is_for_good(reason: ReasonCode) -> bool:
    """Whether trying again soon is of no use."""
    return reason.value in _FOR_GOOD


def packet_bytes(message: Message) -> int:
    """Of the PUBLISH that carries it, with QoS 1 in MQTT 5."""
    text = message.text if isinstance(message.text, bytes) else message.text.encode()
    properties = 1 + (5 if message.expiry_s is not None else 0)
    rest = 2 + len(message.topic.encode()) + 2 + properties + len(text)
    return 1 + max(1, (rest.bit_length() + 6) // 7) + rest
