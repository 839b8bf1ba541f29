"""What is published: a topic, its payload, and how long a broker keeps it."""

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
