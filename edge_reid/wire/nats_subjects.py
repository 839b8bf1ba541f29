"""The topics of the wire contract as a NATS cluster has them: subjects, and what a sink uses there.

A NATS server with an MQTT listener turns the topic `edge-reid/lab/gate/hit` into the subject
`edge-reid.lab.gate.hit`. What comes with QoS 1 it puts into its stream `MESSAGES`, below
`KEPT_BELOW`, before it acknowledges it, for every consumer of the stream that waits for it; a sink
is such a consumer. Debian's 2.9.10 loses some as nodes die (tests/faults/README.md): agents keep
an event until a sink has it (`outbox.delivered = "sink"`). Only the standard library is imported,
for `deploy/broker/certs.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_reid.wire.topics import EVENTS, Topic

MESSAGES = "$MQTT_msgs"
"""The server's own stream of what came by MQTT; it is there from the first MQTT client on."""
KEPT_BELOW = "$MQTT.msgs."
"""First levels of its subjects."""


def subject(topic_filter: str) -> str:
    """A topic, or a filter with wildcards, as NATS has it."""
    return topic_filter.replace("/", ".").replace("+", "*").replace("#", ">")


def topic_of(kept_subject: str) -> str:
    """The topic of a message in the stream `MESSAGES`; no name in it holds a dot."""
    return kept_subject.removeprefix(KEPT_BELOW).replace(".", "/")


@dataclass(frozen=True, slots=True)
class SinkSubjects:
    """What the sinks of one group use at a cluster, and no other group may."""

    root: str
    site: str | None
    """None: all sites."""
    group: str

    @property
    def inbox(self) -> str:
        """Where answers and events come."""
        return f"_INBOX.{self._base}"

    def durable(self, topic: Topic) -> str:
        """The consumer of one kind of event: in it the cluster keeps this group's place."""
        return f"{self._base}={topic.pattern.rpartition('/')[2]}"

    def kept(self, topic: Topic) -> str:
        """Subjects of one kind of event in the stream `MESSAGES`."""
        return KEPT_BELOW + subject(topic.filter(self.root, self.site))

    def requests(self) -> Iterator[str]:
        """Subjects that a sink has to be let publish on, beside those of its topics: it makes a
        consumer of these events and no others, asks it for some, and acknowledges them.
        """
        for topic in EVENTS:
            durable = self.durable(topic)
            yield f"$JS.API.CONSUMER.CREATE.{MESSAGES}.{durable}.{self.kept(topic)}"
            yield f"$JS.API.CONSUMER.MSG.NEXT.{MESSAGES}.{durable}"
            yield f"$JS.ACK.{MESSAGES}.{durable}.>"

    @property
    def _base(self) -> str:
        """`edge-reid=lab=sink`; `=` stands in no name of ours, so no two groups share one."""
        return f"{self.root}={self.site or ''}={self.group}".replace("/", "=")
