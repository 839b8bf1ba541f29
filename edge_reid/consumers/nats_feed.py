"""Events of a NATS cluster: a durable consumer of its stream for each kind, which a group shares.

A sink acknowledges an event to the stream only when it is on disk; what one held that died goes to
any other of its group. Statuses of agents are retained messages, which
only the MQTT side of the cluster can read: they are heard, and what is stored is told to agents, by
MQTT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from edge_reid.consumers.event_feed import Hear, Share
from edge_reid.consumers.nats_events import NatsEvents
from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.config.settings_file import parse_section
from edge_reid.core.errors import BrokerError
from edge_reid.core.server_url import NATS_PORTS, ServerUrl
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message, Received
from edge_reid.wire.nats_subjects import SinkSubjects

_OF_TLS = {"ca_file", "cert_file", "key_file"}
_ANSWER_S = 0.02
"""The MQTT side is waited for only while it owes an answer, and then for so long at a time."""


def _nats_url(url: str) -> str:
    ServerUrl.parse(url, NATS_PORTS)
    return url


class NatsSettings(MqttSettings):
    """The client port of a NATS cluster."""

    url: Annotated[str, AfterValidator(_nats_url)]
    """`nats://host:port`, or `tls://host:port`; of a cluster, several hosts."""


def servers_of(url: str, login: Mapping[str, object]) -> Broker:
    """The client ports that `--from` names, with the login of the broker.

    Args:
        url: `nats://…` or `tls://…`.
        login: `[mqtt]` of the broker; what is about certificates counts for `tls://` only.

    Raises:
        ConfigError: the URL or a file is wrong; all mistakes at once.
    """
    has_tls = url.startswith("tls:")
    wanted = {key: value for key, value in login.items() if has_tls or key not in _OF_TLS}
    return Broker.from_settings(parse_section(NatsSettings, {**wanted, "url": url}), NATS_PORTS)


@dataclass(frozen=True, slots=True)
class NatsFeed:
    """An `EventFeed` of a cluster.

    Args:
        source: its client ports.
        broker: its MQTT listeners.
        share: which events, and whose they are. All sinks of a group are alike: its `name` is of no
            use.
    """

    source: Broker
    broker: Broker
    share: Share

    def connect(self, hear_event: Hear, hear_status: Hear) -> NatsFeedConnection:
        """As `EventFeed.connect`."""
        mqtt = connect(self.broker)
        try:
            # more than QoS 0 a sink has no right to there (wire/nats_permissions.py)
            mqtt.listen([self.share.agents], hear_status, qos=0)
            subjects = SinkSubjects(self.share.root, self.share.site, self.share.group)
            events = NatsEvents(self.source, subjects, hear_event)
        except BrokerError:
            mqtt.abort()
            raise
        return NatsFeedConnection(events, mqtt)


class NatsFeedConnection:
    """A `FeedConnection` of both: one that is lost takes the other one along."""

    def __init__(self, events: NatsEvents, mqtt: Connection) -> None:
        self._events = events
        self._mqtt = mqtt

    @property
    def room(self) -> int:
        return self._mqtt.room

    @property
    def is_idle(self) -> bool:
        return self._mqtt.is_idle and self._events.is_idle

    def turn(self, timeout_s: float) -> None:
        is_idle = self._mqtt.is_idle
        self._events.turn(timeout_s if is_idle else 0.0)
        self._mqtt.turn(0.0 if is_idle else min(timeout_s, _ANSWER_S))

    def acknowledge(self, received: Received) -> None:
        self._events.acknowledge(received)

    def publish(self, message: Message) -> int:
        return self._mqtt.publish(message)

    def take_acknowledged(self) -> list[int]:
        return self._mqtt.take_acknowledged()

    def close(self) -> None:
        self._events.close()
        self._mqtt.close()

    def abort(self) -> None:
        self._events.close()
        self._mqtt.abort()
