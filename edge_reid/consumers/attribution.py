"""Whether whoever published an event may say what it says: what a consumer checks first.

The broker's access rules say who may write on which topic, and only a topic is theirs to guard. So
what an event claims is held against its topic; against what the agent that it names says on a topic
of its own; and, where the broker says who published a message, against that.
"""

from __future__ import annotations

import re

from edge_reid.core.names import RESERVED_LEVELS
from edge_reid.mqtt.message import Received
from edge_reid.wire.payloads import (
    AgentStatus,
    CameraEvent,
    HitPayload,
    UnknownPayload,
    ZonePayload,
)
from edge_reid.wire.topics import AGENT_STATUS, HIT, UNKNOWN, ZONE, Topic

AGENTS_MAX = 20_000
"""Whose cameras are remembered at most."""


_KINDS: dict[type[CameraEvent], tuple[Topic, str]] = {
    HitPayload: (HIT, "a hit"),
    UnknownPayload: (UNKNOWN, "an unknown"),
    ZonePayload: (ZONE, "a zone's event"),
}


def topic_mismatch(event: CameraEvent, topic: str, root: str) -> str | None:
    """Why an event may not come on this topic; None: it may."""
    if event.camera in RESERVED_LEVELS:
        return f"{event.camera} can be no camera"
    own, kind = _KINDS[type(event)]
    if topic != own.name(root, event.site, camera=event.camera):
        return f"it claims to be {kind} of {event.site}/{event.camera}"
    return None


def not_published_by(event: CameraEvent, received: Received, user_property: str) -> str | None:
    """Why the agent that an event names did not publish it, by the broker's word; None: it did.

    A publisher may set the property too. So every one of that name must name the agent; the
    broker's, which it adds or puts in their place, is among them.
    """
    publishers = [value for name, value in received.user_properties if name == user_property]
    if not publishers:
        return f"the broker does not tell who published it: it has no user property {user_property}"
    # certs.py numbers the certificates of one name: gate-1, gate-1.2, …
    others = [name for name in publishers if re.sub(r"\.\d+$", "", name) != event.agent]
    if others:
        return f"it claims to be of agent {event.agent}, and was published by {others[0]}"
    return None


class CameraRegister:
    """Which agent speaks for which cameras, by its own status: nobody else may write that."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._cameras: dict[tuple[str, str], frozenset[str]] = {}  # by site and agent

    def learn(self, received: Received) -> None:
        """Take in the status of an agent; one that names no cameras, or none, is forgotten."""
        names = AGENT_STATUS.names_in(received.topic, self._root)
        if names is None:
            return
        who = names["site"], names["agent"]
        self._cameras.pop(who, None)
        try:
            status = AgentStatus.model_validate_json(received.body)
        except ValueError:
            return
        is_own = (status.site, status.agent) == who
        if is_own and status.cameras is not None and len(self._cameras) < AGENTS_MAX:
            self._cameras[who] = frozenset(status.cameras)

    def objection(self, event: CameraEvent) -> str | None:
        """Why the agent that an event names cannot have sent it; None: it can, or says nothing."""
        cameras = self._cameras.get((event.site, event.agent))
        if cameras is None or event.camera in cameras:
            return None
        return f"agent {event.agent}, which it claims to be of, does not speak for {event.camera}"
