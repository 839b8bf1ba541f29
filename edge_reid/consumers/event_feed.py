"""Where a sink's events come from: what every way to a broker offers, and which events it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.message import Message, Received
from edge_reid.wire.topics import AGENT_STATUS

Hear = Callable[[Received], None]
"""Takes a message that came."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which events a sink takes, and with whom it shares them."""

    root: str
    site: str | None
    """None: of all sites."""
    group: str
    """Sinks of one group get every event once among them."""
    name: str
    """Of this sink, unlike any other's in its group."""

    @property
    def agents(self) -> str:
        """Where every agent says for which cameras it speaks."""
        return AGENT_STATUS.filter(self.root, self.site)


class FeedConnection(Protocol):
    """An open way to events, used by one thread. Once a method has raised, it is over."""

    @property
    def room(self) -> int:
        """How many messages may be sent before one is acknowledged."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether everything sent is acknowledged."""
        ...

    def turn(self, timeout_s: float) -> None:
        """Wait for the network, do what there is to do, and hand over what came.

        Raises:
            RefusedError, UnreachableError: the connection is over, and why.
        """
        ...

    def acknowledge(self, received: Received) -> None:
        """Tell the broker that an event is safe and need not come again."""
        ...

    def publish(self, message: Message) -> int:
        """Send at least once; returns the id that `take_acknowledged` will give back."""
        ...

    def take_acknowledged(self) -> list[int]:
        """Ids of messages that the broker has confirmed since the last call."""
        ...

    def close(self) -> None:
        """Say goodbye."""
        ...

    def abort(self) -> None:
        """Hang up without a word."""
        ...


class EventFeed(Protocol):
    """The way to the events of one share."""

    @property
    def share(self) -> Share:
        """Which events those are."""
        ...

    @property
    def source(self) -> Broker:
        """Where they come from, for people."""
        ...

    def connect(self, hear_event: Hear, hear_status: Hear) -> FeedConnection:
        """Go on where this sink, or its group, has stopped.

        Args:
            hear_event: takes every event; it comes again until it is acknowledged.
            hear_status: takes what agents say of themselves, and have said before.

        Raises:
            RefusedError: the broker does not want us, or we do not trust it.
            UnreachableError: nobody is there.
        """
        ...
