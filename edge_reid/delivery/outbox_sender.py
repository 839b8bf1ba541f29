"""What travels over one connection, in which order, and what is done when it has arrived."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edge_reid.delivery.identity_states import IdentityStates, Retraction
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_row import Row
from edge_reid.delivery.rate_limit import RateLimit
from edge_reid.mqtt.broker import RefusedError
from edge_reid.mqtt.connection import WINDOW, Connection, Received
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.refusals import Refusal, Refusals
from edge_reid.wire.events import identity_message
from edge_reid.wire.payloads import EventsStored, HitPayload, parse_event
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
    """What no sink has confirmed for so long is told again."""
    unconfirmed_max: int = 500
    """So many may wait for a sink's word before more are told."""


_TIMES_IN_VAIN = 2
_UNWANTED = Refusal("no sink says that it has these events", is_of_topic=False)

AT_ONCE = Delivery()
"""As fast as the broker takes them, and forgotten when it has."""


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


@dataclass(frozen=True, slots=True)
class _AwaitingSink:
    """An event that a sink should confirm, and when it was told."""

    seqs: tuple[int, ...]
    """More than one when the same event was committed twice: a video that was run again."""
    at_s: float


class OutboxSender:
    """Carries states and the outbox over one connection.

    States go first: what is true now, before what has happened. Events follow in order; those
    that were committed before the connection came up are marked as replayed, and paced. Every hit
    takes the retained state of its identity along, ahead of itself, so that its acknowledgement
    covers both. States are cleared when no event waits any more that may name the person.

    What the broker does not take stays in the outbox, and holds nothing else up.

    Args:
        refusals: what it did not take before, to be added to.
        is_careful: one by one at first: the last connection was lost with messages on their way.
    """

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        address: Address,
        identities: IdentityStates,
        delivery: Delivery = AT_ONCE,
        *,
        refusals: Refusals | None = None,
        is_careful: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self._address = address
        self._identities = identities
        self._delivery = delivery
        self._clock = clock
        self._pacer = RateLimit(delivery.drain_per_s, clock)
        self._states: deque[_InFlight] = deque()
        self._events: deque[_InFlight] = deque()
        self._on_the_way: dict[int, _InFlight] = {}  # by packet id
        self._clearing: Retraction | None = None  # what this connection was last given to clear
        self._uncleared = 0  # of these
        self._unconfirmed: dict[str, _AwaitingSink] = {}  # by event id, oldest first
        self._times_told: dict[str, int] = {}  # in vain, by event id
        self.refusals = Refusals(clock) if refusals is None else refusals
        self._careful = WINDOW if is_careful else 0  # so many more go one by one
        connection.outlives_refusals = True
        self._last_read = 0
        self._last_replayed = outbox.figures.last_seq

    def send(self, states: Iterable[Message], *, events: bool = True) -> None:
        """Put on the wire what the broker has room for: states, then events if wanted."""
        taken = (state for state in states if state.topic not in self.refusals.topics)
        self._states.extend(_InFlight(state) for state in taken)
        self._clear_who_is_due()
        while self._has_room and (parcel := self._next(events=events)):
            self._hand_over(parcel)

    @property
    def _has_room(self) -> bool:
        is_next_due = not self._careful or not self._on_the_way
        return is_next_due and self._connection.room > 0

    def _hand_over(self, parcel: _InFlight) -> None:
        try:
            packet_id = self._connection.publish(parcel.message)
        except RefusedError as error:  # of this one alone, say for its size
            self._refuse(parcel, Refusal(str(error), is_of_topic=False))
            return
        self._on_the_way[packet_id] = parcel
        if parcel.seq is not None and parcel.seq <= self._last_replayed:
            self._pacer.passed()

    def settle(self) -> int:
        """Take delivered events out of the outbox; returns how many."""
        arrived = [self._on_the_way.pop(it) for it in self._connection.take_acknowledged()]
        self._careful = max(0, self._careful - len(arrived))
        for parcel in arrived:
            self.refusals.note_taken(parcel.message.topic)
        for packet_id, refusal in self._connection.take_refused().items():
            self._refuse(self._on_the_way.pop(packet_id), refusal)
        self._settle_clears(arrived)
        seqs = [it.seq for it in arrived if it.seq is not None and not it.awaits_sink]
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
        self.settle()
        if len(self._on_the_way) == 1:
            (parcel,) = self._on_the_way.values()
            if parcel.message.topic == self._address.agent_status:
                return True  # whoever cannot take that can take nothing
            self.refusals.note_hang_up(parcel.message.topic, parcel.seq, reason)
        return bool(self._on_the_way)

    @property
    def told_through(self) -> int:
        """All events up to this number are delivered, but for those that the broker does not take;
        0 while some are on their way.
        """
        is_over = self.is_idle and not self._events and not self._unconfirmed
        return self._last_read if is_over else 0

    def _refuse(self, parcel: _InFlight, refusal: Refusal) -> None:
        topic = parcel.message.topic
        if self.refusals.note(refusal, topic, parcel.seq):
            _log.warning("the broker takes nothing on %s: %s", topic, refusal.reason)
        self._unconfirmed.pop(parcel.event_id, None)
        self._events = deque(it for it in self._events if not self._is_refused(it))

    def _is_refused(self, parcel: _InFlight) -> bool:
        if parcel.message.topic not in self.refusals.topics:
            return False
        self._unconfirmed.pop(parcel.event_id, None)
        return True

    @property
    def is_idle(self) -> bool:
        """Whether every state and event handed over has arrived."""
        return self._connection.is_idle and not self._states

    @property
    def wait_s(self) -> float:
        """Seconds until the pace lets something go that is ready; infinite when nothing is."""
        return self._pacer.wait_s if self._events and self._has_room else math.inf

    def _clear_who_is_due(self) -> None:
        due = self._identities.due(self.refusals)
        if due is self._clearing:
            return
        self._states = deque(it for it in self._states if it.retraction is None)
        self._clearing, self._uncleared = due, len(due.names) if due else 0
        for name in sorted(due.names) if due else ():
            cleared = Message(self._address.identity(name), "", retain=True)
            if cleared.topic not in self.refusals.topics:
                self._states.append(_InFlight(cleared, retraction=due))

    def _settle_clears(self, arrived: Iterable[_InFlight]) -> None:
        clears = [it for it in arrived if it.retraction and it.retraction is self._clearing]
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
        return seq is None or seq > self._last_replayed or self._pacer.wait_s == 0

    def _read_on(self) -> None:
        if len(self._unconfirmed) >= self._unconfirmed_max:
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
        on_the_way = (it.seq for it in self._on_the_way.values() if it.seq is not None)
        unconfirmed = (seq for told in self._unconfirmed.values() for seq in told.seqs)
        return frozenset((*on_the_way, *unconfirmed, *self.refusals.seqs))

    @property
    def _unconfirmed_max(self) -> int:
        """Some more once nothing was confirmed: is it the sinks, or what they do not want?"""
        return self._delivery.unconfirmed_max + (WINDOW if self._times_told else 0)

    def _pack(self, entry: Row) -> list[_InFlight]:
        replayed = entry.seq <= self._last_replayed
        event = parse_event(entry.body).model_copy(update={"replayed": replayed})
        # sinks answer to the agent that an event names; of those of an old name nobody hears
        is_ours = (event.site, event.agent) == (self._address.site, self._address.agent)
        awaits_sink = self._delivery.by_sink and is_ours
        message = Message(entry.topic, event.to_json())
        parcels = [_InFlight(message, entry.seq, event.event_id, awaits_sink)]
        if isinstance(event, HitPayload) and self._identities.is_news(event):
            state = identity_message(event, self._address)
            if state.topic not in self.refusals.topics:
                parcels.insert(0, _InFlight(state))
        if awaits_sink:
            before = self._unconfirmed.get(event.event_id, _AwaitingSink((), self._clock()))
            self._unconfirmed[event.event_id] = replace(before, seqs=(*before.seqs, entry.seq))
        return parcels

    def _take_confirmed(self) -> list[int]:
        """Events that sinks have stored. When they keep silent too long, all is told again."""
        inbox = self._connection.received
        told = [inbox.popleft() for _ in range(len(inbox))]
        inbox.extend(it for it in told if it.topic != self._address.agent_stored)
        stored = [it for it in told if it.topic == self._address.agent_stored]
        event_ids = [event_id for it in stored for event_id in _stored_ids(it)]
        confirmed = [self._unconfirmed.pop(it) for it in event_ids if it in self._unconfirmed]
        if confirmed and self._times_told:
            self._set_unwanted_aside()
        oldest = next(iter(self._unconfirmed.values()), None)
        if oldest and self._clock() - oldest.at_s > self._delivery.resend_s:
            self._tell_all_again()
        return [seq for told in confirmed for seq in told.seqs]

    def _tell_all_again(self) -> None:
        _log.warning("no sink has confirmed %d events; telling them again", len(self._unconfirmed))
        times = {it: self._times_told.get(it, 0) + 1 for it in self._unconfirmed}
        self._times_told = times
        self._unconfirmed.clear()
        self._events.clear()
        self._last_read = 0

    def _set_unwanted_aside(self) -> None:
        """A sink is there and confirms others, but not those that it was told twice in vain."""
        told_before_s = self._clock() - self._delivery.resend_s / 2
        for event_id, times in list(self._times_told.items()):
            told = self._unconfirmed.get(event_id)
            if told is None:
                del self._times_told[event_id]
            elif times >= _TIMES_IN_VAIN and told.at_s < told_before_s:
                _log.warning("no sink takes event %s; the others go on", event_id)
                del self._unconfirmed[event_id]
                for seq in told.seqs:
                    self.refusals.note(_UNWANTED, self._address.agent_stored, seq)


def _stored_ids(message: Received) -> tuple[str, ...]:
    try:
        return EventsStored.model_validate_json(message.body).event_ids
    except ValueError as error:
        _log.warning("%s: skipped what names no stored events: %s", message.topic, error)
        return ()
