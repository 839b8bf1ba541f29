"""The publisher: a thread that carries the outbox and the states to the broker."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from edge_reid import __version__
from edge_reid.core.errors import BrokerError, EdgeReidError
from edge_reid.delivery.abandoned_outboxes import AbandonedOutboxes
from edge_reid.delivery.camera_guard import CameraGuard
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.identity_states import IdentityStates
from edge_reid.delivery.instance import Instance, former_session, noted
from edge_reid.delivery.name_guard import STANDBY_S, NameGuard
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_sender import AT_ONCE, Delivery, OutboxSender
from edge_reid.mqtt.backoff import RETRY_S, Backoff, jittered
from edge_reid.mqtt.broker import Broker, NameTakenError, RefusedError
from edge_reid.mqtt.connection import Connection, Received, connect
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.refusals import Refusals
from edge_reid.mqtt.waker import Waker
from edge_reid.wire.events import Event, rfc3339
from edge_reid.wire.payloads import (
    LINES_MAX,
    LOST,
    AgentDuplicate,
    AgentStatus,
    GalleryState,
)
from edge_reid.wire.topics import Address

_log = logging.getLogger(__name__)

STATUS_INTERVAL_S = 30.0
SILENCE_S = 3 * STATUS_INTERVAL_S
"""A rival that said nothing for so long has lost its power, and its will got lost with a broker."""
TURN_S = 1.0
"""Longest wait for the network before looking after everything else."""
FAREWELL_S = 2.0
"""How long `close` waits for the broker to take the last words."""


class Link(Enum):
    """How it stands between us and the broker."""

    CONNECTING = "connecting"
    ONLINE = "online"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    NAME_TAKEN = "name taken"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class LinkState:
    """The link, and what is wrong with it in one line (empty when nothing is)."""

    link: Link
    reason: str = ""


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


class Publisher:
    """Publishes events and states from its own thread. `with` starts and closes it.

    No broker, a bad one or a slow one: the caller is never held up, but by `flush` and `close`.
    Where another agent of this name is online, this one stays away from the broker and looks now
    and then whether the other has gone; events wait in the outbox.

    With a `desk` it also listens to commands, and tells their results.
    """

    def __init__(
        self,
        broker: Broker,
        outbox: Outbox,
        address: Address,
        facts: AgentFacts,
        *,
        retry_s: tuple[float, float] = RETRY_S,
        status_interval_s: float = STATUS_INTERVAL_S,
        standby_s: float = STANDBY_S,
        silence_s: float = SILENCE_S,
        delivery: Delivery = AT_ONCE,
        desk: CommandInbox | None = None,
        abandoned: AbandonedOutboxes | None = None,
    ) -> None:
        self._broker = broker
        self._outbox = outbox
        self._address = address
        self._facts = facts
        self._backoff = Backoff(*retry_s)
        self._status_interval_s = status_interval_s
        self._standby_s = standby_s
        self._delivery = delivery
        self._desk = desk
        self._host = socket.gethostname()
        self._session = secrets.token_hex(8)
        self._lookout = NameGuard(
            broker,
            address,
            silence_s=silence_s,
            own_sessions={self._session, former_session(outbox.session)} - {""},
        )
        self._guard = CameraGuard(address, facts.cameras, silence_s=silence_s)
        self._camera_taken: str | None = None  # as last told
        self._waiting_cameras: frozenset[str] | None = None  # None: not looked up yet
        self._identities = IdentityStates(outbox, abandoned)
        self._state = LinkState(Link.CONNECTING)
        self._changed = threading.Condition()  # guards _state and the two below; notified
        self._shown: dict[str, Message] = {}  # newest state by topic
        self._unsent: dict[str, Message] = {}  # of these, what this connection has not heard
        self._refusals = Refusals()
        self._is_careful = False  # as the last connection was lost
        self._told_through = 0  # as the courier says
        self._has_news = False  # whether our own status should be told soon
        self._waker = Waker()
        self._closing = False
        self._hurry = threading.Event()  # ends a pause between two attempts
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        if desk:
            desk.answered = self._tell_soon

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def state(self) -> LinkState:
        """How it stands with the broker now."""
        return self._state

    def publish(self, event: Event) -> int | None:
        """Commit an event to the outbox and have it sent; returns its `seq` (see `Outbox.put`)."""
        seq = self._outbox.put(event)
        self._waker.wake()
        return seq

    def show(self, message: Message) -> None:
        """Publish a retained state; said again at every connection, the newest per topic."""
        with self._changed:
            self._shown[message.topic] = self._unsent[message.topic] = message
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
        """Tell new facts about the agent."""
        self._facts = facts
        self._tell_soon()

    def wait_settled(self, timeout_s: float) -> LinkState:
        """Wait for the outcome of the first attempt to connect."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.link is not Link.CONNECTING, timeout_s)
            return self._state

    def flush(self, timeout_s: float) -> int:
        """Wait until everything is delivered; returns how many events still wait.

        Gives up early when the broker refuses us. What waits stays in the outbox.
        """
        self._hurry.set()
        with self._changed:
            self._changed.wait_for(self._is_flushed, timeout_s)
        return self._outbox.figures.depth

    def close(self) -> None:
        """Say goodbye if there is anybody to say it to, and end the thread."""
        is_heard = self._state.link is Link.ONLINE
        self._closing = True
        self._hurry.set()
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(2 * FAREWELL_S if is_heard else 0.5)

    def _tell_soon(self) -> None:
        self._has_news = True
        self._waker.wake()

    def _is_flushed(self) -> bool:
        is_over = self._state.link in (Link.REFUSED, Link.NAME_TAKEN, Link.CLOSED)
        figures = self._outbox.figures
        return is_over or figures.depth == 0 or self._told_through >= figures.last_seq

    def _run(self) -> None:
        while not self._closing:
            began_s = time.monotonic()
            try:
                self._connect_and_serve()
            except NameTakenError as error:
                self._enter(LinkState(Link.NAME_TAKEN, str(error)))
            except EdgeReidError as error:
                self._note(error)
            except Exception as error:
                _log.exception("the publisher stumbled, and goes on")
                self._note(error)
            if not self._closing and self._hurry.wait(self._pause_s(time.monotonic() - began_s)):
                self._hurry.clear()
                self._backoff.reset()
        self._waker.close()
        self._enter(LinkState(Link.CLOSED))

    def _pause_s(self, lasted_s: float) -> float:
        if self._state.link is Link.NAME_TAKEN:
            self._backoff.reset()
            return jittered(self._standby_s)
        return self._backoff.pause_s(lasted_s=lasted_s)

    def _connect_and_serve(self) -> None:
        view = self._lookout.look()
        if view.rival:
            self._lookout.stand_aside(view, self._duplicate())
        self._outbox.note_session(noted(self._session, Instance.ours()))
        if self._waiting_cameras is None:
            self._waiting_cameras = frozenset(_cameras_in(self._outbox))
        connection = connect(
            self._broker,
            client_id=self._address.client_id,
            will=self._status("offline", reason=LOST),
            version=view.version,
        )
        try:
            self._serve(connection)
        finally:
            connection.abort()

    def _serve(self, connection: Connection) -> None:
        """Carry everything over this connection until it breaks or we close."""
        if topics := self._topics_to_hear():
            connection.subscribe(topics)
        if self._guard.topics:
            connection.subscribe_if_allowed(self._guard.topics)
        courier = OutboxSender(
            connection,
            self._outbox,
            self._address,
            self._identities,
            self._delivery,
            refusals=self._refusals,
            is_careful=self._is_careful,
        )
        try:
            self._carry(connection, courier)
        except BrokerError as error:
            self._is_careful = courier.lose(str(error))
            raise

    def _carry(self, connection: Connection, courier: OutboxSender) -> None:
        with self._changed:
            self._unsent = dict(self._shown)
        self._told_through = 0
        self._note_refusals()
        next_status_s = 0.0
        while not self._closing:
            states = self._take_unsent()
            if time.monotonic() >= next_status_s or self._has_news:
                next_status_s = time.monotonic() + self._status_interval_s
                self._has_news = False
                states.insert(0, self._status("online"))
            courier.send([*states, *self._take_results()])
            pause_s = min(TURN_S, self._status_interval_s, courier.wait_s)
            connection.turn(pause_s, self._waker)
            self._hear_commands(connection)
            self._hear_other_agents(connection)
            delivered, self._told_through = courier.settle(), courier.told_through
            self._note_refusals()
            if delivered or self._refusals:
                self._notify()
        self._say_goodbye(connection, courier)

    def _note_refusals(self) -> None:
        """Say what the broker does not take, once it changes."""
        words = self._refusals.in_words
        told = LinkState(Link.ONLINE, f"broker {self._broker}: {words}" if words else "")
        if told != self._state:
            self._has_news = True
            self._enter(told)

    def _topics_to_hear(self) -> list[str]:
        stored = [self._address.agent_stored] if self._delivery.by_sink else []
        return [*stored, self._address.agent_command] if self._desk else stored

    def _hear_commands(self, connection: Connection) -> None:
        """Give the desk what is for it; the rest stays for the courier."""
        if self._desk is None:
            return
        for message in _taken(connection, (self._address.agent_command,)):
            self._desk.hear(message)

    def _hear_other_agents(self, connection: Connection) -> None:
        for message in _taken(connection, self._guard.topics):
            self._guard.hear(message)
        if (trouble := self._guard.trouble) != self._camera_taken:
            self._camera_taken, self._has_news = trouble, True
            if trouble:
                _log.warning("%s", trouble)

    def _take_results(self) -> list[Message]:
        return self._desk.take_outgoing() if self._desk else []

    def _say_goodbye(self, connection: Connection, courier: OutboxSender) -> None:
        states = [*self._take_unsent(), *self._take_results()]
        last_words = [*states, self._status("offline", reason="stopped")]
        deadline_s = time.monotonic() + FAREWELL_S
        while not courier.is_idle or last_words:
            courier.send(last_words, events=False)
            last_words = []
            connection.turn(0.1)
            courier.settle()
            if time.monotonic() > deadline_s:
                break
        connection.close()

    def _status(self, state: Literal["online", "offline"], reason: str | None = None) -> Message:
        figures, aside, refused = self._outbox.figures, self._outbox.set_aside, self._refusals
        status = AgentStatus(
            site=self._address.site,
            agent=self._address.agent,
            state=state,
            reason=reason,
            version=__version__,
            host=self._host,
            session=self._session,
            model_id=self._facts.model_id,
            gallery_version=self._facts.gallery_version,
            gallery=self._facts.gallery,
            commands=self._desk.state if self._desk else None,
            cameras=self._cameras,
            camera_taken=self._camera_taken,
            period_s=self._status_interval_s if state == "online" else None,
            outbox_depth=figures.depth,
            outbox_bytes=figures.bytes,
            events_dropped=figures.dropped,
            events_refused=self._outbox.count(refused.topics) + len(refused.seqs),
            refused=refused.in_words or None,
            outbox_damaged=aside.name if aside else None,
            started_at=rfc3339(self._facts.started_utc_s),
            at=rfc3339(time.time()),
        )
        return Message(self._address.agent_status, status.to_json(), retain=True)

    @property
    def _cameras(self) -> tuple[str, ...] | None:
        """Whose events we tell: a camera may have had another name when some of them were made."""
        ours = {*self._facts.cameras, *(self._waiting_cameras or ())}
        return tuple(sorted(ours)) if self._facts.cameras and len(ours) <= LINES_MAX else None

    def _duplicate(self) -> AgentDuplicate:
        return AgentDuplicate(
            site=self._address.site,
            agent=self._address.agent,
            host=self._host,
            session=self._session,
            outbox_depth=self._outbox.figures.depth,
            started_at=rfc3339(self._facts.started_utc_s),
            at=rfc3339(time.time()),
        )

    def _take_unsent(self) -> list[Message]:
        with self._changed:
            taken, self._unsent = list(self._unsent.values()), {}
        return taken

    def _note(self, error: Exception) -> None:
        refused = isinstance(error, RefusedError)
        self._enter(LinkState(Link.REFUSED if refused else Link.UNREACHABLE, str(error)))

    def _enter(self, state: LinkState) -> None:
        if state != self._state:  # who runs us says it: see `Uplink.news`
            _log.info("broker %s: %s %s", self._broker, state.link.value, state.reason)
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _taken(connection: Connection, topics: Container[str]) -> list[Received]:
    """What came on these topics; the rest stays for others."""
    inbox = connection.received
    came = [inbox.popleft() for _ in range(len(inbox))]
    inbox.extend(it for it in came if it.topic not in topics)
    return [it for it in came if it.topic in topics]


def _cameras_in(outbox: Outbox) -> Iterator[str]:
    """Of the events that wait there."""
    last_seq = 0
    while entries := outbox.pending(last_seq):
        last_seq = entries[-1].seq
        yield from (entry.topic.split("/")[-2] for entry in entries)
