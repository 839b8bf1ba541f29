"""What is published, and what came: a topic, its payload, and what the broker does with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish, always with QoS 1."""

    topic: str
    text: str | bytes
    """The payload: one line of JSON; of a gallery, its own bytes. Empty and retained, it clears."""
    retain: bool = False
    expiry_s: int | None = None
    """After so long the broker forgets it (MQTT 5); None: never."""


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
