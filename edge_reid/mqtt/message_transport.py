"""What `delivery` needs of a transport: two protocols, and the errors that their methods raise.

MQTT is one (`connection.MqttTransport`); another one is another file that offers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.refusals import Refusal
from edge_reid.mqtt.router import Listener
from edge_reid.mqtt.waker import Waker

WINDOW = 20
"""Messages on their way at a time, unless the broker wants fewer."""


class RefusedError(BrokerError):
    """The broker, or its certificate, says no. Trying again soon is of no use."""


class TooLargeError(RefusedError):
    """The broker takes no message so large. Nothing was sent, and the connection goes on."""


class UnreachableError(BrokerError):
    """There is no broker, or no longer. It may come back."""


class MessageConnection(Protocol):
    """An open connection, used by one thread. Once a method has raised, it is over, but for
    TooLargeError.
    """

    outlives_refusals: bool
    """Whether a message that is not taken ends the connection, or is for `take_refused`."""

    @property
    def repeated_qos(self) -> int:
        """With which QoS to subscribe to what is said again in any case."""
        ...

    @property
    def room(self) -> int:
        """How many messages may be sent before one is acknowledged."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether everything sent is acknowledged."""
        ...

    def publish(self, message: Message) -> int:
        """Send at least once; returns the id that `take_acknowledged` will give back.

        Raises:
            TooLargeError: the broker takes nothing so large; nothing was sent.
        """
        ...

    def take_acknowledged(self) -> list[int]:
        """Ids of messages that the broker has confirmed since the last call."""
        ...

    def take_refused(self) -> dict[int, Refusal]:
        """Ids of messages that the broker does not take, since the last call."""
        ...

    def listen(
        self, filters: Iterable[str], hear: Callable[[Received], None], *, qos: int = 1
    ) -> Listener:
        """Subscribe, and have `hear` called with every message that fits a filter.

        Args:
            filters: MQTT topic filters.
            hear: takes a message.
            qos: `repeated_qos` for what is said again in any case.

        Raises:
            RefusedError, UnreachableError: the broker does not agree.
        """
        ...

    def listen_if_allowed(
        self, filters: Iterable[str], hear: Callable[[Received], None], *, qos: int = 1
    ) -> Listener:
        """The same for what can be done without: what the broker refuses is not heard."""
        ...

    def stop_listening(self, listener: Listener) -> None:
        """Call a listener no more, and unsubscribe from what no other one listens to."""
        ...

    def subscribe(self, filters: Iterable[str], *, qos: int = 1) -> None:
        """Ask for topics whose messages `receive` gives; raises as `listen`."""
        ...

    def receive(self, timeout_s: float) -> Received | None:
        """The next message that no listener takes, or None when none came in time."""
        ...

    def turn(self, timeout_s: float, waker: Waker | None = None) -> None:
        """Wait for the network, or until woken, do what there is to do, and call the listeners.

        Raises:
            RefusedError, UnreachableError: the connection is over, and why.
        """
        ...

    def close(self) -> None:
        """Say goodbye, so that the broker does not publish the last will."""
        ...

    def abort(self) -> None:
        """Hang up without a word; the broker publishes the last will."""
        ...


class MessageTransport(Protocol):
    """The way to one broker. As text, it is the broker's address for people."""

    def connect(self, *, client_id: str = "", will: Message | None = None) -> MessageConnection:
        """Open a connection; without a client id nobody else's is disturbed.

        Raises:
            RefusedError: the broker does not want us, or we do not trust it.
            UnreachableError: nobody is there.
        """
        ...
