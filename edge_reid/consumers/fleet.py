"""Every agent of a site, put together from what they left on the broker. Pure but for the clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from edge_reid.consumers.presence import Presence, presence_of
from edge_reid.mqtt.message import Received
from edge_reid.mqtt.router import Listener, Router
from edge_reid.wire.payloads import (
    AgentDuplicate,
    AgentStatus,
    CameraBrief,
    CameraStatus,
    DeviceUpdate,
)
from edge_reid.wire.topics import (
    AGENT_DUPLICATE,
    AGENT_STATUS,
    AGENT_UPDATE,
    CAMERA_STATUS,
    STRANGER,
    Topic,
)

TOPICS_MAX = 20_000
"""Agents, and cameras, that are remembered: nobody's words fill the memory."""
DUPLICATES_MAX = 8
"""Others of one name, the newest."""

T = TypeVar("T")

_HEARD = (AGENT_STATUS, AGENT_DUPLICATE, AGENT_UPDATE, CAMERA_STATUS)


def fleet_filters(root: str, site: str) -> tuple[str, ...]:
    """What to subscribe to."""
    return tuple(topic.filter(root, site) for topic in _HEARD)


@dataclass(frozen=True, slots=True)
class FleetMember:
    """One agent, as far as it is known."""

    name: str
    status: AgentStatus | None = None
    """None: only its cameras are known, its status is not."""
    cameras: dict[str, CameraStatus] = field(default_factory=dict)
    duplicates: dict[str, AgentDuplicate] = field(default_factory=dict)
    """Others of this name that stand aside, by the id of their start."""
    update: DeviceUpdate | None = None
    """Of the device, if it follows releases and this agent reports for it."""

    def presence(self, now: datetime) -> Presence:
        return presence_of(self.status, now)

    @property
    def camera_states(self) -> dict[str, CameraBrief | None]:
        """How each of its cameras does, by name: as it says itself, or else its agent; None where
        nobody does.
        """
        listed = (self.status and self.status.cameras) or ()
        said = (self.status and self.status.camera_states) or ()
        own = {name: _brief(camera) for name, camera in self.cameras.items()}
        known = {**dict.fromkeys(listed), **{brief.camera: brief for brief in said}, **own}
        return {name: known[name] for name in sorted(known)}


class Fleet:
    """Learns from messages; `members` is what it knows now.

    An agent speaks for itself only: what claims to be of another than its topic's is skipped.
    """

    def __init__(self, root: str, site: str) -> None:
        self._root = root
        self._site = site
        self._router = Router()
        readers = self._read_status, self._read_duplicate, self._read_update, self._read_camera
        for topic, read in zip(_HEARD, readers, strict=True):
            self._router.add(self._listener(topic, read))
        self._statuses: dict[str, AgentStatus] = {}  # by agent, as the next two
        self._duplicates: dict[str, dict[str, AgentDuplicate]] = {}
        self._updates: dict[str, DeviceUpdate] = {}
        self._cameras: dict[str, CameraStatus] = {}  # by camera
        self.skipped = 0
        """Messages that are none of ours, and those there was no more room for."""

    @property
    def members(self) -> tuple[FleetMember, ...]:
        """All agents, by name."""
        cameras: defaultdict[str, dict[str, CameraStatus]] = defaultdict(dict)
        for camera, status in self._cameras.items():
            cameras[status.agent][camera] = status
        names = {*self._statuses, *self._duplicates, *self._updates, *cameras}
        return tuple(self._member(name, cameras.get(name, {})) for name in sorted(names))

    def learn_all(self, messages: Iterable[Received]) -> None:
        for message in messages:
            self.learn(message)

    def learn(self, message: Received) -> None:
        """Take in one message; what cannot be read is counted."""
        self._router.route(message)

    def topics_of(self, member: FleetMember) -> tuple[str, ...]:
        """Where an agent has left something retained."""
        own = [
            topic.name(self._root, self._site, agent=member.name)
            for topic in (AGENT_STATUS, AGENT_DUPLICATE, AGENT_UPDATE)
        ]
        cameras = [
            CAMERA_STATUS.name(self._root, self._site, camera=camera)
            for camera in sorted(member.cameras)
        ]
        return (*own, *cameras)

    def strangers_filter(self, name: str) -> str:
        """Where an agent leaves strangers for the others of its site; no reader may see them."""
        return STRANGER.filter(self._root, self._site, agent=name)

    def _listener(self, topic: Topic, read: Callable[[str, bytes], None]) -> Listener:
        """One that reads what comes on topics of one kind: of whom it is, and the payload."""

        def hear(message: Received) -> None:
            names = topic.names_in(message.topic, self._root)
            if names is None:
                return
            try:
                read(names.get("agent") or names["camera"], message.body)
            except ValueError:
                self.skipped += 1

        return Listener((topic.filter(self._root, self._site),), hear)

    def _read_status(self, name: str, body: bytes) -> None:
        if not body:  # somebody has cleared it: this agent is no more
            self._forget(name)
            return
        status = AgentStatus.model_validate_json(body)
        self._check(status, agent=name)
        _keep(self._statuses, name, status)

    def _read_duplicate(self, name: str, body: bytes) -> None:
        if not body:
            self._duplicates.pop(name, None)
            return
        duplicate = AgentDuplicate.model_validate_json(body)
        self._check(duplicate, agent=name)
        others = self._duplicates.get(name, {})
        others.pop(duplicate.session, None)
        newest = dict(list(others.items())[-(DUPLICATES_MAX - 1) :])
        _keep(self._duplicates, name, {**newest, duplicate.session: duplicate})

    def _read_update(self, name: str, body: bytes) -> None:
        if not body:
            self._updates.pop(name, None)
            return
        update = DeviceUpdate.model_validate_json(body)
        self._check(update, agent=name)
        _keep(self._updates, name, update)

    def _read_camera(self, camera: str, body: bytes) -> None:
        self._cameras.pop(camera, None)
        if body:
            status = CameraStatus.model_validate_json(body)
            if (status.site, status.camera) != (self._site, camera):
                raise ValueError(f"{camera}: claims to be {status.site}/{status.camera}")
            _keep(self._cameras, camera, status)

    def _check(self, said: AgentStatus | AgentDuplicate | DeviceUpdate, *, agent: str) -> None:
        if (said.site, said.agent) != (self._site, agent):
            raise ValueError(f"{agent}: claims to be {said.site}/{said.agent}")

    def _forget(self, name: str) -> None:
        for known in (self._statuses, self._duplicates, self._updates):
            known.pop(name, None)
        self._cameras = {
            camera: status for camera, status in self._cameras.items() if status.agent != name
        }

    def _member(self, name: str, cameras: dict[str, CameraStatus]) -> FleetMember:
        return FleetMember(
            name,
            self._statuses.get(name),
            cameras,
            self._duplicates.get(name, {}),
            self._updates.get(name),
        )


def _brief(camera: CameraStatus) -> CameraBrief:
    return CameraBrief(
        camera=camera.camera,
        state=camera.state,
        fault=camera.fault,
        degraded=bool(camera.degraded),
    )


def _keep(known: dict[str, T], name: str, said: T) -> None:
    if name not in known and len(known) >= TOPICS_MAX:
        raise ValueError(f"{name}: there are {TOPICS_MAX} of its kind already")
    known[name] = said
