"""Every agent of a site, put together from what they left on the broker. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_reid.messaging.connection import Received
from edge_reid.messaging.payloads import AgentDuplicate, AgentStatus, BoxUpdate, CameraStatus


def fleet_filters(root: str, site: str) -> tuple[str, ...]:
    """What to subscribe to."""
    return (
        f"{root}/{site}/agents/+/status",
        f"{root}/{site}/agents/+/duplicate",
        f"{root}/{site}/agents/+/update",
        f"{root}/{site}/+/status",
    )


@dataclass(slots=True)
class Member:
    """One agent, as far as it is known."""

    name: str
    status: AgentStatus | None = None
    """None: only its cameras are known, its status is not."""
    cameras: dict[str, CameraStatus] = field(default_factory=dict)
    duplicates: dict[str, AgentDuplicate] = field(default_factory=dict)
    """Others of this name that stand aside, by session."""
    update: BoxUpdate | None = None
    """Of the box, if it follows releases and this agent reports for it."""

    @property
    def is_online(self) -> bool:
        return self.status is not None and self.status.state == "online"


class Fleet:
    """Learns from messages; `members` is what it knows now."""

    def __init__(self, root: str, site: str) -> None:
        self._prefix = f"{root}/{site}/"
        self._members: dict[str, Member] = {}
        self.skipped = 0
        """Messages that are none of ours."""

    @property
    def members(self) -> tuple[Member, ...]:
        """All agents, by name."""
        return tuple(self._members[name] for name in sorted(self._members))

    def learn_all(self, messages: Iterable[Received]) -> None:
        for message in messages:
            self.learn(message)

    def learn(self, message: Received) -> None:
        """Take in one message; what cannot be read is counted."""
        levels = message.topic.removeprefix(self._prefix).split("/")
        try:
            match levels:
                case ["agents", name, "status"]:
                    self._learn_status(name, message.body)
                case ["agents", name, "duplicate"]:
                    self._learn_duplicate(name, message.body)
                case ["agents", name, "update"]:
                    self._learn_update(name, message.body)
                case [camera, "status"]:
                    self._learn_camera(camera, message.body)
        except ValueError:
            self.skipped += 1

    def _learn_status(self, name: str, body: bytes) -> None:
        if not body:  # somebody has cleared it: this agent is no more
            self._members.pop(name, None)
            return
        self._member(name).status = AgentStatus.model_validate_json(body)

    def _learn_duplicate(self, name: str, body: bytes) -> None:
        if not body:
            self._member(name).duplicates.clear()
            return
        duplicate = AgentDuplicate.model_validate_json(body)
        self._member(name).duplicates[duplicate.session] = duplicate

    def _learn_update(self, name: str, body: bytes) -> None:
        self._member(name).update = BoxUpdate.model_validate_json(body) if body else None

    def _learn_camera(self, camera: str, body: bytes) -> None:
        for member in self._members.values():
            member.cameras.pop(camera, None)
        if body:
            status = CameraStatus.model_validate_json(body)
            self._member(status.agent).cameras[camera] = status

    def _member(self, name: str) -> Member:
        return self._members.setdefault(name, Member(name))
