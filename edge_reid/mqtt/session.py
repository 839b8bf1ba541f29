"""A session that outlives the connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """One that the broker keeps while we are away. Every message in it is ours to acknowledge;
    what we did not acknowledge comes again when we come back. Needs MQTT 5.
    """

    expiry_s: int
    """For how long it is kept."""
    unacknowledged_max: int
    """How many messages the broker may have sent that we have not acknowledged yet."""
