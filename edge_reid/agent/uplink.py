"""Our end of the broker: the outbox, and the publisher that empties it."""

from __future__ import annotations

from contextlib import ExitStack

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.delivery.abandoned_outboxes import AbandonedOutboxes
from edge_reid.delivery.announcements import Announcements
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.command_memory import CommandMemory
from edge_reid.delivery.inherited_events import InheritedEvents
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import Delivery
from edge_reid.delivery.publisher import AgentFacts, Link, Publisher
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import MqttTransport
from edge_reid.wire.home_assistant import HomeAssistant
from edge_reid.wire.payloads import StrangersState
from edge_reid.wire.topics import Address


class Uplink:
    """Our end of the broker: the outbox and its publisher."""

    def __init__(
        self,
        broker: Broker,
        outbox: Outbox,
        publisher: Publisher,
        address: Address,
        inbox: CommandInbox | None = None,
    ) -> None:
        self.outbox = outbox
        self.publisher = publisher
        self.address = address
        self.inbox = inbox
        """Where commands come in; None when none are taken."""
        self._broker = broker
        self._state = publisher.state
        self._dropped_before = outbox.figures.dropped

    @classmethod
    def open(
        cls,
        settings: AgentSettings,
        address: Address,
        facts: AgentFacts,
        stack: ExitStack,
        *,
        strangers: StrangersState | None = None,
    ) -> Uplink:
        """Of an agent, as its settings say; connects in a thread.

        Args:
            settings: of the agent.
            address: its own.
            facts: for its status.
            stack: closes what is opened.
            strangers: how it begins to share them, which its first last will says too; None: it
                does not share.

        Raises:
            ConfigError: the broker's address or a file of the login cannot be used.
            OutboxError: the outbox cannot be opened.
        """
        broker = Broker.from_settings(settings.mqtt)
        limits = settings.outbox
        outbox = stack.enter_context(
            Outbox(settings.outbox_path, max_bytes=limits.max_bytes, max_age_s=limits.max_age_s)
        )
        delivery = Delivery(limits.drain_per_s, by_sink=limits.delivered == "sink")
        inbox = _open_inbox(settings, address) if settings.commands.allow else None
        # only who syncs confirms erasures; a gallery of its own says nothing of other cameras'
        syncs = settings.gallery_sync is not None
        abandoned = AbandonedOutboxes(settings.outbox_path) if syncs else None
        inherited = InheritedEvents(outbox, address, facts.cameras, only_enrolled=syncs)
        publisher = Publisher(
            MqttTransport(broker),
            outbox,
            address,
            facts,
            delivery=delivery,
            commands=inbox,
            abandoned=abandoned,
            inherited=inherited,
            announcements=_announcements(settings, address, facts),
        )
        if strangers:
            publisher.show_strangers(strangers)
        return cls(broker, outbox, stack.enter_context(publisher), address, inbox)

    def news(self) -> str | None:
        """What a person should know of the link, once per change."""
        state = self.publisher.state
        if state == self._state:
            return None
        self._state = state
        return state.reason or None

    @property
    def waiting(self) -> int:
        """Events that the broker has not acknowledged."""
        return self.outbox.figures.depth

    @property
    def dropped(self) -> int:
        """Events lost in this run to the outbox's caps or to a full disk."""
        return self.outbox.figures.dropped - self._dropped_before

    def undelivered(self) -> str | None:
        """Why events still wait for the broker, and where; None when it has them all."""
        state, waiting = self.publisher.state, self.waiting
        if state.link is Link.ONLINE and not waiting:
            return None
        reason = state.reason or f"broker {self._broker}: too slow to take all events"
        return f"{reason}; {waiting} events wait in {self.outbox.path} for the next run"


def _announcements(
    settings: AgentSettings, address: Address, facts: AgentFacts
) -> Announcements | None:
    wanted = settings.home_assistant
    if not wanted.enabled:
        return None
    return Announcements(
        HomeAssistant(
            wanted.discovery_prefix,
            address,
            facts.cameras,
            device_trackers=wanted.device_trackers,
            pictures=wanted.pictures,
            zoned=[name for name, it in settings.cameras.items() if it.zones or it.lines],
        )
    )


def _open_inbox(settings: AgentSettings, address: Address) -> CommandInbox:
    path = settings.outbox_path.with_name(f"commands-{settings.agent}.json")
    memory = CommandMemory(path, settings.commands.max_age_s)
    return CommandInbox(address, settings.commands, memory=memory)
