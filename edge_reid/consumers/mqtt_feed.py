"""Events of an MQTT 5 broker: a shared subscription in a session that outlives the connection."""

from __future__ import annotations

from dataclasses import dataclass

from edge_reid.consumers.event_feed import Hear, Share
from edge_reid.consumers.event_store import BATCH_MAX
from edge_reid.mqtt.answers import OldBrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, resume
from edge_reid.mqtt.session import Session
from edge_reid.wire.topics import TRACK_EVENTS, ZONE, Topic, shared

SESSION = Session(expiry_s=7 * 86_400, unacknowledged_max=2 * BATCH_MAX)
"""The broker keeps what comes while a sink is away for a week, as long as an agent would."""


@dataclass(frozen=True, slots=True)
class MqttFeed:
    """An `EventFeed`. What a sink held that does not return waits for it, or goes to another of its
    group, as the broker has it.
    """

    source: Broker
    share: Share

    @property
    def filters(self) -> tuple[str, ...]:
        return tuple(map(self._shared, TRACK_EVENTS))

    @property
    def zone_filters(self) -> tuple[str, ...]:
        """What a broker whose access rules are of before 0.6 lets nobody read."""
        return (self._shared(ZONE),)

    @property
    def client_id(self) -> str:
        """Under it the broker keeps what waits."""
        share = self.share
        return f"{share.root}/{share.site or 'all'}/sink/{share.group}/{share.name}"

    def connect(self, hear_event: Hear, hear_status: Hear) -> Connection:
        """As `EventFeed.connect`."""
        try:
            connection = resume(self.source, self.client_id, SESSION)
        except OldBrokerError as error:
            raise OldBrokerError(
                f"{error}; a sink needs MQTT 5, or of a NATS cluster --from nats://HOST"
            ) from error
        connection.listen_if_allowed([self.share.agents], hear_status, qos=0)
        connection.listen(self.filters, hear_event)
        connection.listen_if_allowed(self.zone_filters, hear_event)
        return connection

    def _shared(self, topic: Topic) -> str:
        return shared(self.share.group, topic.filter(self.share.root, self.share.site))
