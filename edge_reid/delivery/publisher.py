"""The publisher: a thread that carries the outbox and the states to the broker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Container, Iterable

from edge_reid.core.errors import BrokerError, EdgeReidError
from edge_reid.delivery.abandoned_outboxes import AbandonedOutboxes
from edge_reid.delivery.agent_report import AgentFacts, AgentReport
from edge_reid.delivery.announcements import Announcements
from edge_reid.delivery.camera_guard import CameraGuard
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.identity_states import IdentityStates
from edge_reid.delivery.inherited_events import InheritedEvents
from edge_reid.delivery.instance import Instance, former_instance, noted
from edge_reid.delivery.link_state import Link, LinkMonitor, LinkState
from edge_reid.delivery.name_guard import STANDBY_S, NameGuard, NameTakenError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import AT_ONCE, Delivery, OutboxSender, ReplayCount
from edge_reid.delivery.passing_messages import PassingMessages
from edge_reid.delivery.retained_states import RetainedStates
from edge_reid.mqtt.backoff import RETRY_S, Backoff, jittered
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.message_transport import MessageConnection, MessageTransport, RefusedError
from edge_reid.mqtt.refusals import Refusals
from edge_reid.mqtt.waker import Waker
from edge_reid.wire.events import OutgoingEvent
from edge_reid.wire.payloads import CameraBrief, StrangersState
from edge_reid.wire.topics import Address

__all__ = ["AgentFacts", "Link", "LinkState", "Publisher"]

_log = logging.getLogger(__name__)

STATUS_INTERVAL_S = 30.0
SILENCE_S = 3 * STATUS_INTERVAL_S
"""A rival that said nothing for so long has lost its power, and its will got lost with a broker."""
TURN_S = 1.0
"""Longest wait for the network before looking after everything else."""
FAREWELL_S = 2.0
"""How long `close` waits for the broker to take the last words."""


class Publisher:
    """Publishes events and states from its own thread. `with` starts and closes it.

    No broker, a bad one or a slow one: the caller is never held up, but by `flush` and `close`.
    Where another agent of this name is online, this one stays away from the broker and looks now
    and then whether the other has gone; events wait in the outbox.

    With `commands` it also listens to commands, and publishes their results; with `announcements`
    Home Assistant has devices of what it publishes.
    """

    def __init__(
        self,
        transport: MessageTransport,
        outbox: Outbox,
        address: Address,
        facts: AgentFacts,
        *,
        retry_s: tuple[float, float] = RETRY_S,
        status_interval_s: float = STATUS_INTERVAL_S,
        standby_s: float = STANDBY_S,
        silence_s: float = SILENCE_S,
        delivery: Delivery = AT_ONCE,
        commands: CommandInbox | None = None,
        abandoned: AbandonedOutboxes | None = None,
        inherited: InheritedEvents | None = None,
        announcements: Announcements | None = None,
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._address = address
        self._backoff = Backoff(*retry_s)
        self._status_interval_s = status_interval_s
        self._standby_s = standby_s
        self._delivery = delivery
        self._commands = commands
        self._refusals = Refusals()
        self._camera_guard = CameraGuard(address, facts.cameras, silence_s=silence_s)
        self._camera_trouble: str | None = None  # as the status says
        self._report = self._report_of(facts)
        own = {self._report.instance_id, former_instance(outbox.session)} - {""}
        self._name_guard = NameGuard(transport, address, silence_s=silence_s, own_instances=own)
        self._identities = IdentityStates(outbox, abandoned)
        self._inherited = inherited
        self._announcements = announcements
        self._link = LinkMonitor(str(transport))
        self._states = RetainedStates()
        self._passing = PassingMessages()
        self._is_careful = False  # as the last connection was lost
        self._delivered_through = 0  # as the sender says
        self._replays = ReplayCount()
        self._has_news = False  # whether our own status should be published soon
        self._waker = Waker()
        self._closing = False
        self._hurry = threading.Event()  # ends a pause between two attempts
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def __enter__(self) -> Publisher:
        if self._commands:
            self._commands.answered = self._publish_status_soon
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def state(self) -> LinkState:
        """How it stands with the broker now."""
        return self._link.state

    def publish(self, event: OutgoingEvent) -> int | None:
        """Commit an event to the outbox and have it sent; returns its `seq` (see `Outbox.put`)."""
        seq = self._outbox.put(event)
        self._waker.wake()
        return seq

    def show(self, message: Message) -> None:
        """Publish a retained state; said again at every connection, the newest per topic."""
        self._states.show(message)
        self._waker.wake()

    def pass_on(self, message: Message) -> None:
        """Publish something that is worth saying only now: if there is no broker, nobody hears."""
        self._passing.put(message)
        self._waker.wake()

    def retract(self, gone: Iterable[str], enrolled: Container[str]) -> None:
        """Have the broker clear the states of people; see `IdentityStates.retract`."""
        self._identities.retract(gone, enrolled)
        self._waker.wake()

    @property
    def has_retracted(self) -> bool:
        """Whether it has; no event waits that may name them, nor is a byte of them on this disk."""
        return self._identities.are_settled

    def update(self, facts: AgentFacts) -> None:
        """Publish new facts about the agent."""
        self._report.facts = facts
        self._publish_status_soon()

    def show_cameras(self, states: tuple[CameraBrief, ...]) -> None:
        """Say in the agent's status how its cameras do; at once when it has changed."""
        if states != self._report.camera_states:
            self._report.camera_states = states
            self._publish_status_soon()

    def show_strangers(self, state: StrangersState) -> None:
        """Say in the agent's status how it shares strangers."""
        self._report.strangers = state
        self._publish_status_soon()

    @property
    def replayed(self) -> int:
        """Events that had waited for a connection and were sent, since the start."""
        return self._replays.sent

    def wait_settled(self, timeout_s: float) -> LinkState:
        """Wait for the outcome of the first attempt to connect."""
        self._link.wait_for(lambda: self.state.link is not Link.CONNECTING, timeout_s)
        return self.state

    def flush(self, timeout_s: float) -> int:
        """Wait until everything is delivered; returns how many events still wait.

        Gives up early when the broker refuses us. What waits stays in the outbox.
        """
        self._hurry.set()
        self._link.wait_for(self._is_flushed, timeout_s)
        return self._outbox.figures.depth

    def close(self) -> None:
        """Say goodbye if there is anybody to say it to, and end the thread."""
        is_heard = self.state.link is Link.ONLINE
        self._closing = True
        self._hurry.set()
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(2 * FAREWELL_S if is_heard else 0.5)

    def _report_of(self, facts: AgentFacts) -> AgentReport:
        return AgentReport(
            self._address,
            facts,
            self._outbox,
            period_s=self._status_interval_s,
            refusals=self._refusals,
            camera_guard=self._camera_guard,
            commands=self._commands,
        )

    def _publish_status_soon(self) -> None:
        self._has_news = True
        self._waker.wake()

    def _is_flushed(self) -> bool:
        is_over = self.state.link in (Link.REFUSED, Link.NAME_TAKEN, Link.CLOSED)
        figures = self._outbox.figures
        return is_over or figures.depth == 0 or self._delivered_through >= figures.last_seq

    def _run(self) -> None:
        while not self._closing:
            began_s = time.monotonic()
            try:
                self._connect_and_serve()
            except EdgeReidError as error:
                self._note(error)
            except Exception as error:
                _log.exception("the publisher stumbled, and goes on")
                self._note(error)
            if not self._closing and self._hurry.wait(self._pause_s(time.monotonic() - began_s)):
                self._hurry.clear()
                self._backoff.reset()
        self._waker.close()
        self._link.enter(LinkState(Link.CLOSED))

    def _pause_s(self, lasted_s: float) -> float:
        if self.state.link is Link.NAME_TAKEN:
            self._backoff.reset()
            return jittered(self._standby_s)
        return self._backoff.pause_s(lasted_s=lasted_s)

    def _connect_and_serve(self) -> None:
        self._name_guard.check(self._report.duplicate)
        self._outbox.note_session(noted(self._report.instance_id, Instance.ours()))
        self._report.look_up_cameras()
        connection = self._transport.connect(
            client_id=self._address.client_id, will=self._report.will()
        )
        try:
            self._serve(connection)
        finally:
            connection.abort()

    def _serve(self, connection: MessageConnection) -> None:
        """Carry everything over this connection until it breaks or we close."""
        sender = OutboxSender(
            connection,
            self._outbox,
            self._address,
            self._identities,
            self._delivery,
            announcements=self._announcements,
            refusals=self._refusals,
            replays=self._replays,
            is_careful=self._is_careful,
        )
        self._listen(connection, sender)
        try:
            self._carry(connection, sender)
        except BrokerError as error:
            self._is_careful = sender.lose(str(error))
            raise

    def _listen(self, connection: MessageConnection, sender: OutboxSender) -> None:
        """Who hears what: another listener is another line."""
        if self._delivery.by_sink:
            # what is not heard is confirmed again when the event was sent again
            stored, hear = self._address.agent_stored, sender.confirmations.hear
            connection.listen([stored], hear, qos=connection.repeated_qos)
        if self._commands:
            connection.listen([self._address.agent_command], self._hear_command)
        if self._announcements:
            connection.listen_if_allowed([self._announcements.topic], self._announcements.hear)
        if self._camera_guard.topics:
            guard = self._camera_guard
            connection.listen_if_allowed(guard.topics, guard.hear, qos=connection.repeated_qos)

    def _hear_command(self, message: Received) -> None:
        if self._commands and not self._closing:  # what comes later could not be answered
            self._commands.hear(message)

    def _carry(self, connection: MessageConnection, sender: OutboxSender) -> None:
        self._states.begin_anew()
        self._passing.take()  # of before this connection
        if self._announcements:
            self._announcements.begin_anew()
        self._delivered_through = 0
        self._note_refusals()
        next_status_s = 0.0
        while not self._closing:
            states = self._take_states()
            if time.monotonic() >= next_status_s or self._has_news:
                next_status_s = time.monotonic() + self._status_interval_s
                self._has_news = False
                states.insert(0, self._report.online())
            sender.send(states)
            pause_s = min(TURN_S, self._status_interval_s, sender.wait_s)
            connection.turn(pause_s, self._waker)
            self._note_camera_trouble()
            delivered, self._delivered_through = sender.process_acks(), sender.delivered_through
            self._note_refusals()
            if self._inherited:
                self._inherited.take_when_due(self._identities.enrolled)
            if delivered or self._refusals:
                self._link.notify()
        self._say_goodbye(connection, sender)

    def _take_states(self) -> list[Message]:
        """States to be published, and the results of commands."""
        results = self._commands.take_outgoing() if self._commands else []
        new = self._announcements.take_due(self._identities.staying) if self._announcements else []
        return [*new, *self._states.take_unsent(), *results, *self._passing.take()]

    def _note_refusals(self) -> None:
        """Say what the broker does not take, once it changes."""
        words = self._refusals.in_words
        state = LinkState(Link.ONLINE, f"broker {self._transport}: {words}" if words else "")
        if state != self.state:
            self._has_news = True
            self._link.enter(state)

    def _note_camera_trouble(self) -> None:
        trouble = self._camera_guard.trouble
        if trouble != self._camera_trouble:
            self._camera_trouble, self._has_news = trouble, True
            if trouble:
                _log.warning("%s", trouble)

    def _say_goodbye(self, connection: MessageConnection, sender: OutboxSender) -> None:
        last_words = [*self._take_states(), self._report.stopped()]
        deadline_s = time.monotonic() + FAREWELL_S
        while not sender.is_idle or last_words:
            sender.send(last_words, events=False)
            last_words = []
            connection.turn(0.1)
            sender.process_acks()
            if time.monotonic() > deadline_s:
                break
        connection.close()

    def _note(self, error: Exception) -> None:
        link = Link.UNREACHABLE
        if isinstance(error, NameTakenError):
            link = Link.NAME_TAKEN
        elif isinstance(error, RefusedError):
            link = Link.REFUSED
        self._link.enter(LinkState(link, str(error)))
