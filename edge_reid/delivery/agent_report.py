"""What an agent says of itself: its status, its last will, and that it stands aside."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge_reid import __version__
from edge_reid.delivery.camera_guard import CameraGuard
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.outbox import Outbox
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.refusals import Refusals
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import (
    LINES_MAX,
    LOST,
    AgentDuplicate,
    AgentStatus,
    CameraBrief,
    GalleryState,
    StrangersState,
)
from edge_reid.wire.topics import Address, event_camera


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What the agent says of itself in its status."""

    model_id: str
    gallery_version: int
    started_utc_s: float
    gallery: GalleryState | None = None
    """Of an agent that syncs."""
    cameras: tuple[str, ...] = ()
    """That it watches."""


class AgentReport:
    """Writes what an agent says of itself, from what the others know at the moment.

    Args:
        period_s: how often the status is said while the agent is online.
        refusals: what the broker does not take.
        camera_guard: whether another agent reports a camera of ours.
        commands: None where none are taken.
    """

    def __init__(
        self,
        address: Address,
        facts: AgentFacts,
        outbox: Outbox,
        *,
        period_s: float,
        refusals: Refusals,
        camera_guard: CameraGuard,
        commands: CommandInbox | None,
    ) -> None:
        self.facts = facts
        self.instance_id = secrets.token_hex(8)
        """Of this start of the agent."""
        self.camera_states: tuple[CameraBrief, ...] = ()
        self.strangers: StrangersState | None = None
        """How it shares them; None: it does not."""
        self._address = address
        self._outbox = outbox
        self._period_s = period_s
        self._refusals = refusals
        self._camera_guard = camera_guard
        self._commands = commands
        self._host = socket.gethostname()
        self._waiting_cameras: frozenset[str] | None = None  # None: not looked up yet

    def look_up_cameras(self) -> None:
        """Once, before the first status: a camera may have had another name when events that still
        wait were made.

        Raises:
            OutboxError: the disk fails.
        """
        if self._waiting_cameras is None:
            self._waiting_cameras = frozenset(_cameras_in(self._outbox))

    def online(self) -> Message:
        """The status of an agent that is connected."""
        return self._status("online", period_s=self._period_s)

    def stopped(self) -> Message:
        """Its last words."""
        return self._status("offline", reason="stopped")

    def will(self) -> Message:
        """What the broker is to say when the connection is lost."""
        return self._status("offline", reason=LOST)

    def duplicate(self) -> AgentDuplicate:
        """That this agent stands aside for another one of its name."""
        return AgentDuplicate(
            site=self._address.site,
            agent=self._address.agent,
            host=self._host,
            session=self.instance_id,
            outbox_depth=self._outbox.figures.depth,
            started_at=rfc3339(self.facts.started_utc_s),
            at=rfc3339(time.time()),
        )

    def _status(
        self,
        state: Literal["online", "offline"],
        *,
        reason: str | None = None,
        period_s: float | None = None,
    ) -> Message:
        figures, quarantined = self._outbox.figures, self._outbox.quarantined
        refused = self._refusals
        status = AgentStatus(
            site=self._address.site,
            agent=self._address.agent,
            state=state,
            reason=reason,
            version=__version__,
            host=self._host,
            session=self.instance_id,
            model_id=self.facts.model_id,
            gallery_version=self.facts.gallery_version,
            gallery=self.facts.gallery,
            commands=self._commands.state if self._commands else None,
            strangers=self.strangers,
            cameras=self._cameras,
            camera_states=(self.camera_states or None) if state == "online" else None,
            camera_taken=self._camera_guard.trouble,
            period_s=period_s,
            outbox_depth=figures.depth,
            outbox_bytes=figures.bytes,
            events_dropped=figures.dropped,
            events_refused=self._outbox.count(refused.topics) + len(refused.seqs),
            refused=refused.in_words or None,
            outbox_damaged=quarantined.name if quarantined else None,
            started_at=rfc3339(self.facts.started_utc_s),
            at=rfc3339(time.time()),
        )
        return Message(self._address.agent_status, status.to_json(), retain=True)

    @property
    def _cameras(self) -> tuple[str, ...] | None:
        """Those whose events we publish; None: this agent does not say."""
        ours = {*self.facts.cameras, *(self._waiting_cameras or ())}
        return tuple(sorted(ours)) if self.facts.cameras and len(ours) <= LINES_MAX else None


def _cameras_in(outbox: Outbox) -> Iterator[str]:
    """Of the events that wait there."""
    last_seq = 0
    while entries := outbox.pending(last_seq):
        last_seq = entries[-1].seq
        yield from filter(None, (event_camera(entry.topic) for entry in entries))
