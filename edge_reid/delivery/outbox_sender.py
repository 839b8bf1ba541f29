"""What travels over one connection, in which order, and what is done when it has arrived."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge_reid.delivery.announcements import Announcements
from edge_reid.delivery.identity_states import IdentityStates, Retraction
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_row import Row
from edge_reid.delivery.rate_limit import RateLimit
from edge_reid.delivery.sink_confirmations import SinkConfirmations
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.message_transport import WINDOW, MessageConnection, RefusedError
from edge_reid.mqtt.refusals import Refusal, Refusals
from edge_reid.wire.events import identity_message
from edge_reid.wire.payloads import HitPayload, parse_event
from edge_reid.wire.topics import Address

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How events leave the outbox."""

    drain_per_s: float | None = None
    """At most so many a second of those that waited for the broker; None: as many as it takes."""
    by_sink: bool = False
    """An event is kept until a sink says that it has it; False: until the broker does."""
    resend_s: float = 30.0
    """What no sink has confirmed for so long is sent again."""
    unconfirmed_max: int = 500
    """So many may wait for a sink's word before more are sent."""


_UNWANTED = Refusal("no sink says that it has these events", is_of_topic=False)

AT_ONCE = Delivery()
"""As fast as the broker takes them, and forgotten when it has."""


@dataclass(slots=True)
class ReplayCount:
    """Events that were sent after they had waited for a connection, over all connections."""

    sent: int = 0


@dataclass(frozen=True, slots=True)
class _InFlight:
    message: Message
    seq: int | None = None
    """Of the event it delivers; None for a state."""
    event_id: str = ""
    awaits_sink: bool = False
    """Whether the event is delivered when a sink says so, and not yet when the broker does."""
    retraction: Retraction | None = None
    """That it is part of; None for all that clears no state."""


class OutboxSender:
    """Carries states and the outbox over one connection.

    States go first: what is true now, before what has happened. Events follow in order; those
    that were committed before the connection came up are marked as replayed, and paced. Every hit
    takes the retained state of its identity along, ahead of itself, so that its acknowledgement
    covers both. States are cleared when no event waits any more that may name the person.

    What the broker does not take stays in the outbox, and holds nothing else up.

    Args:
        announcements: to Home Assistant; None: none are made.
        refusals: what it did not take before, to be added to.
        replays: of the connections before, to be added to.
        is_careful: one by one at first: the last connection was lost with messages on their way.
    """

    def __init__(
        self,
        connection: MessageConnection,
        outbox: Outbox,
        address: Address,
        identities: IdentityStates,
        delivery: Delivery = AT_ONCE,
        *,
        announcements: Announcements | None = None,
        refusals: Refusals | None = None,
        replays: ReplayCount | None = None,
        is_careful: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self._address = address
        self._identities = identities
        self._announcements = announcements
        self._delivery = delivery
        self._rate = RateLimit(delivery.drain_per_s, clock)
        self._states: deque[_InFlight] = deque()
        self._events: deque[_InFlight] = deque()
        self._in_flight: dict[int, _InFlight] = {}  # by packet id
        self._clearing: Retraction | None = None  # what this connection was last given to clear
        self._uncleared = 0  # of these
        self.confirmations = SinkConfirmations(delivery.resend_s, clock)
        self.refusals = Refusals(clock) if refusals is None else refusals
        self._careful = WINDOW if is_careful else 0  # so many more go one by one
        self._replays = ReplayCount() if replays is None else replays
        connection.outlives_refusals = True
        self._last_read = 0
        self._last_replayed = outbox.figures.last_seq

    def send(self, states: Iterable[Message], *, events: bool = True) -> None:
        """Put on the wire what the broker has room for: states, then events if wanted."""
        taken = (state for state in states if state.topic not in self.refusals.topics)
        self._states.extend(_InFlight(state) for state in taken)
        self._clear_who_is_due()
        while self._has_room and (packet := self._next(events=events)):
            self._publish(packet)

    @property
    def _has_room(self) -> bool:
        is_next_due = not self._careful or not self._in_flight
        return is_next_due and self._connection.room > 0

    def _publish(self, packet: _InFlight) -> None:
        try:
            packet_id = self._connection.publish(packet.message)
        except RefusedError as error:  # of this one alone, say for its size
            self._refuse(packet, Refusal(str(error), is_of_topic=False))
            return
        self._in_flight[packet_id] = packet
        if packet.seq is not None and packet.seq <= self._last_replayed:
            self._rate.passed()
            self._replays.sent += 1

    def process_acks(self) -> int:
        """Take delivered events out of the outbox; returns how many."""
        arrived = [self._in_flight.pop(number) for number in self._connection.take_acknowledged()]
        self._careful = max(0, self._careful - len(arrived))
        for packet in arrived:
            self.refusals.note_taken(packet.message.topic)
        for packet_id, refusal in self._connection.take_refused().items():
            self._refuse(self._in_flight.pop(packet_id), refusal)
        self._process_clears(arrived)
        seqs = [p.seq for p in arrived if p.seq is not None and not p.awaits_sink]
        if self._delivery.by_sink:
            seqs += self._take_confirmed()
        if seqs:
            self._outbox.acknowledge(seqs)
        else:
            self._outbox.tidy()
        self._identities.wipe_when_due(self.refusals)
        if self.refusals.forget_when_due():
            self._last_read, self._clearing = 0, None
        return len(seqs)

    def lose(self, reason: str) -> bool:
        """The connection is lost; returns whether anything was on its way."""
        self.process_acks()
        if len(self._in_flight) == 1:
            (packet,) = self._in_flight.values()
            if packet.message.topic == self._address.agent_status:
                return True  # whoever cannot take that can take nothing
            self.refusals.note_hang_up(packet.message.topic, packet.seq, reason)
        return bool(self._in_flight)

    @property
    def delivered_through(self) -> int:
        """All events up to this number are delivered, but for those that the broker does not take;
        0 while some are on their way.
        """
        is_over = self.is_idle and not self._events and not self.confirmations
        return self._last_read if is_over else 0

    def _refuse(self, packet: _InFlight, refusal: Refusal) -> None:
        topic = packet.message.topic
        if self.refusals.note(refusal, topic, packet.seq):
            _log.warning("the broker takes nothing on %s: %s", topic, refusal.reason)
        self.confirmations.forget(packet.event_id)
        self._events = deque(event for event in self._events if not self._is_refused(event))

    def _is_refused(self, packet: _InFlight) -> bool:
        if packet.message.topic not in self.refusals.topics:
            return False
        self.confirmations.forget(packet.event_id)
        return True

    @property
    def is_idle(self) -> bool:
        """Whether every state and event handed over has arrived."""
        return self._connection.is_idle and not self._states

    @property
    def wait_s(self) -> float:
        """Seconds until the pace lets something go that is ready; infinite when nothing is."""
        return self._rate.wait_s if self._events and self._has_room else math.inf

    def _clear_who_is_due(self) -> None:
        due = self._identities.due(self.refusals)
        if due is self._clearing:
            return
        self._states = deque(state for state in self._states if state.retraction is None)
        self._clearing, self._uncleared = due, len(due.names) if due else 0
        for name in sorted(due.names) if due else ():
            self._forget_at_home_assistant(name)  # before: it has arrived when the clear has
            cleared = Message(self._address.identity(name), "", retain=True)
            if cleared.topic not in self.refusals.topics:
                self._states.append(_InFlight(cleared, retraction=due))

    def _forget_at_home_assistant(self, name: str) -> None:
        if self._announcements:
            forgotten = self._announcements.forgotten(name)
            if forgotten.topic not in self.refusals.topics:
                self._states.append(_InFlight(forgotten))

    def _process_clears(self, arrived: Iterable[_InFlight]) -> None:
        clears = [p for p in arrived if p.retraction and p.retraction is self._clearing]
        self._uncleared -= len(clears)
        if clears and self._clearing and not self._uncleared:
            self._identities.note_cleared(self._clearing)

    def _next(self, *, events: bool) -> _InFlight | None:
        if self._states:
            return self._states.popleft()
        if events and not self._events:
            self._read_on()
        return self._events.popleft() if events and self._events and self._may_go() else None

    def _may_go(self) -> bool:
        seq = self._events[0].seq
        return seq is None or seq > self._last_replayed or self._rate.wait_s == 0

    def _read_on(self) -> None:
        if len(self.confirmations) >= self._unconfirmed_max:
            return
        newest, topics = self._outbox.figures.last_seq, self.refusals.topics
        entries = self._outbox.pending(self._last_read, WINDOW, without=topics)
        in_hand = self._seqs_in_hand if entries else frozenset()
        for entry in entries:
            self._last_read = entry.seq
            if entry.seq in in_hand:
                continue
            try:
                self._events.extend(self._pack(entry))
            except ValueError as error:  # a bit has flipped on the disk
                _log.error("event %d is damaged and dropped: %s", entry.seq, error)
                self._outbox.discard(entry.seq)
        if len(entries) < WINDOW:  # what is left is refused
            self._last_read = max(self._last_read, newest)

    @property
    def _seqs_in_hand(self) -> frozenset[int]:
        """Of events that need not be read again now."""
        in_flight = (packet.seq for packet in self._in_flight.values() if packet.seq is not None)
        return frozenset((*in_flight, *self.confirmations.seqs, *self.refusals.seqs))

    @property
    def _unconfirmed_max(self) -> int:
        """Some more once events were sent in vain, so that others are tried as well."""
        return self._delivery.unconfirmed_max + (WINDOW if self.confirmations.are_missing else 0)

    def _pack(self, entry: Row) -> list[_InFlight]:
        stored = parse_event(entry.body)
        is_inherited = stored.replayed  # it waited in the outbox of an agent before us
        replayed = is_inherited or entry.seq <= self._last_replayed
        event = stored.model_copy(update={"replayed": replayed})
        # sinks answer the agent that an event names; nobody listens under an old name
        is_ours = (event.site, event.agent) == (self._address.site, self._address.agent)
        awaits_sink = self._delivery.by_sink and is_ours
        message = Message(entry.topic, event.to_json())
        packets = [_InFlight(message, entry.seq, event.event_id, awaits_sink)]
        news = None
        if isinstance(event, HitPayload):
            news = self._identities.take_in(event, is_inherited=is_inherited)
        if news and isinstance(event, HitPayload):
            state = identity_message(news.hit, self._address, news.views)
            if state.topic not in self.refusals.topics:
                packets = [*self._announced(event.identity), _InFlight(state), *packets]
        if awaits_sink:
            self.confirmations.expect(event.event_id, entry.seq)
        return packets

    def _announced(self, identity: str) -> list[_InFlight]:
        """Who is not known to Home Assistant yet is announced ahead of their first state."""
        new = self._announcements.take_person(identity) if self._announcements else None
        return [_InFlight(new)] if new and new.topic not in self.refusals.topics else []

    def _take_confirmed(self) -> list[int]:
        """Events that sinks have stored. When they keep silent too long, all is sent again."""
        confirmed = self.confirmations.take_confirmed()
        if confirmed:
            for seq in self.confirmations.take_unwanted():
                self.refusals.note(_UNWANTED, self._address.agent_stored, seq)
        if self.confirmations.give_up_when_due():
            self._events.clear()
            self._last_read = 0
        return confirmed
