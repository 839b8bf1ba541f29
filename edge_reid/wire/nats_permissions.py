"""Mosquitto's access rules as NATS has them: users with permissions, for its configuration.

Two differences matter. NATS refuses a subscription that is wider than what may be read, where
Mosquitto passes on the part that may be. And what comes with QoS 1 it delivers to an MQTT client
under a subject of its own below `DELIVERED`, on which that client has to have a right; its MQTT
side lets nobody subscribe there, its client port would. So only sinks may use the client port, and
have no such right: by MQTT they subscribe with QoS 0.
Only the standard library is imported, for `deploy/broker/certs.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edge_reid.wire.nats_subjects import SinkSubjects, subject
from edge_reid.wire.topics import SINK

DELIVERED = "$MQTT.sub.>"
DEFAULT_GROUP = "sink"
"""Of `edge-reid sink`."""


@dataclass(slots=True)
class NatsUser:
    """One client, by the common name of its certificate, and what it may do."""

    name: str
    kinds: list[str] = field(default_factory=lambda: ["MQTT"])
    """How it may connect."""
    writes: list[str] = field(default_factory=list)
    never_writes: list[str] = field(default_factory=list)
    hears: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, role: str, name: str, rules: Iterable[str], groups: Iterable[SinkSubjects]
    ) -> NatsUser:
        """From lines of Mosquitto's access rules, such as `topic read edge-reid/lab/+/hit`.

        Args:
            role: of its certificate.
            name: the common name in it.
            rules: those lines.
            groups: of a sink, those that it may be one of.
        """
        user = cls(name)
        for rule in rules:
            _, access, topic = rule.split(" ", 2)
            user._allow(access, subject(topic))
        if role == SINK.role:
            user.kinds.append("STANDARD")
            for group in groups:
                user.writes += group.requests()
                user.hears.append(f"{group.inbox}.>")
        else:
            user.hears.append(DELIVERED)
        return user

    def lines(self) -> Iterator[str]:
        """As it stands among `users` in the configuration."""
        yield f"  {{ user: {json.dumps(f'CN={self.name}')}"
        yield f"    allowed_connection_types: {json.dumps(self.kinds)}"
        yield "    permissions: {"
        yield f"      publish: {{ {self._publish} }}"
        yield f"      subscribe: {{ allow: {json.dumps(self.hears)} }}"
        yield "    } }"

    @property
    def _publish(self) -> str:
        if not self.writes:
            return 'deny: ">"'
        denied = f", deny: {json.dumps(self.never_writes)}" if self.never_writes else ""
        return f"allow: {json.dumps(self.writes)}{denied}"

    def _allow(self, access: str, what: str) -> None:
        if access == "deny":
            self.never_writes.append(what)
        if "read" in access:
            self.hears.append(what)
        if "write" in access:
            self.writes.append(what)


def users_file(users: Iterable[NatsUser]) -> str:
    """The file that `authorization` of the servers' configuration includes."""
    lines = [line for user in users for line in user.lines()]
    return "\n".join(("users: [", *lines, "]", ""))
