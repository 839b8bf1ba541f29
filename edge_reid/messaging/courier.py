"""What travels over one connection, in which order, and what is done when it has arrived."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edge_reid.messaging.connection import WINDOW, Connection, Received
from edge_reid.messaging.identity_states import IdentityStates, Retraction
from edge_reid.messaging.outbox import Outbox
from edge_reid.messaging.outbox_row import Row
from edge_reid.messaging.pace import Pacer
from edge_reid.messaging.payloads import EventsStored, HitPayload, parse_event
from edge_reid.messaging.topics import Address
from edge_reid.messaging.wire import Message, identity_message

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


AT_ONCE = Delivery()
"""As fast as the broker takes them, and forgotten when it has."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    message: Message
    seq: int | None = None
    """Of the event it delivers; None for a state."""
    retraction: Retraction | None = None
    """That it is part of; None for all that clears no state."""


@dataclass(frozen=True, slots=True)
class _Told:
    """An event that a sink should confirm, and when it was told."""

    seqs: tuple[int, ...]
    """More than one when the same event was committed twice: a video that was run again."""
    at_s: float


class Courier:
    """Carries states and the outbox over one connection.

    States go first: what is true now, before what has happened. Events follow in order; those
    that were committed before the connection came up are marked as replayed, and paced. Every hit
    takes the retained state of its identity along, ahead of itself, so that its acknowledgement
    covers both. States are cleared when no event waits any more that may name the person.
    """

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        address: Address,
        identities: IdentityStates,
        delivery: Delivery = AT_ONCE,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self._address = address
        self._identities = identities
        self._delivery = delivery
        self._clock = clock
        self._pacer = Pacer(delivery.drain_per_s, clock)
        self._states: deque[_Parcel] = deque()
        self._events: deque[_Parcel] = deque()
        self._on_the_way: dict[int, _Parcel] = {}  # by packet id
        self._clearing: Retraction | None = None  # what this connection was last given to clear
        self._uncleared = 0  # of these
        self._unconfirmed: dict[str, _Told] = {}  # by event id, oldest first
        self._last_read = 0
        self._last_replayed = outbox.figures.last_seq

    def send(self, states: Iterable[Message], *, events: bool = True) -> None:
        """Put on the wire what the broker has room for: states, then events if wanted."""
        self._states.extend(_Parcel(state) for state in states)
        self._clear_who_is_due()
        while self._connection.room and (parcel := self._next(events=events)):
            self._on_the_way[self._connection.publish(parcel.message)] = parcel
            if parcel.seq is not None and parcel.seq <= self._last_replayed:
                self._pacer.passed()

    def settle(self) -> int:
        """Take delivered events out of the outbox; returns how many."""
        arrived = [self._on_the_way.pop(it) for it in self._connection.take_acknowledged()]
        self._settle_clears(arrived)
        seqs = [it.seq for it in arrived if it.seq is not None]
        if self._delivery.by_sink:
            seqs = self._take_confirmed()
        if seqs:
            self._outbox.acknowledge(seqs)
        else:
            self._outbox.tidy()
        return len(seqs)

    @property
    def is_idle(self) -> bool:
        """Whether every state and event handed over has arrived."""
        return self._connection.is_idle and not self._states

    @property
    def wait_s(self) -> float:
        """Seconds until the pace lets something go that is ready; infinite when nothing is."""
        return self._pacer.wait_s if self._events and self._connection.room else math.inf

    def _clear_who_is_due(self) -> None:
        due = self._identities.due
        if due is self._clearing:
            return
        self._states = deque(it for it in self._states if it.retraction is None)
        self._clearing, self._uncleared = due, len(due.names) if due else 0
        for name in sorted(due.names) if due else ():
            cleared = Message(self._address.identity(name), "", retain=True)
            self._states.append(_Parcel(cleared, retraction=due))

    def _settle_clears(self, arrived: Iterable[_Parcel]) -> None:
        clears = [it for it in arrived if it.retraction and it.retraction is self._clearing]
        self._uncleared -= len(clears)
        if clears and self._clearing and not self._uncleared:
            self._identities.note_cleared(self._clearing)

    def _next(self, *, events: bool) -> _Parcel | None:
        if self._states:
            return self._states.popleft()
        if events and not self._events:
            self._read_on()
        return self._events.popleft() if events and self._events and self._may_go() else None

    def _may_go(self) -> bool:
        seq = self._events[0].seq
        return seq is None or seq > self._last_replayed or self._pacer.wait_s == 0

    def _read_on(self) -> None:
        if len(self._unconfirmed) >= self._delivery.unconfirmed_max:
            return
        for entry in self._outbox.pending(self._last_read, WINDOW):
            self._last_read = entry.seq
            try:
                self._events.extend(self._pack(entry))
            except ValueError as error:  # a bit has flipped on the disk
                _log.error("event %d is damaged and dropped: %s", entry.seq, error)
                self._outbox.discard(entry.seq)

    def _pack(self, entry: Row) -> list[_Parcel]:
        replayed = entry.seq <= self._last_replayed
        event = parse_event(entry.body).model_copy(update={"replayed": replayed})
        parcels = [_Parcel(Message(entry.topic, event.to_json()), entry.seq)]
        if isinstance(event, HitPayload) and self._identities.is_news(event):
            parcels.insert(0, _Parcel(identity_message(event, self._address)))
        if self._delivery.by_sink:
            before = self._unconfirmed.get(event.event_id, _Told((), self._clock()))
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
        oldest = next(iter(self._unconfirmed.values()), None)
        if oldest and self._clock() - oldest.at_s > self._delivery.resend_s:
            self._tell_all_again()
        return [seq for told in confirmed for seq in told.seqs]

    def _tell_all_again(self) -> None:
        _log.warning("no sink has confirmed %d events; telling them again", len(self._unconfirmed))
        self._unconfirmed.clear()
        self._events.clear()
        self._last_read = 0


def _stored_ids(message: Received) -> tuple[str, ...]:
    try:
        return EventsStored.model_validate_json(message.body).event_ids
    except ValueError as error:
        _log.warning("%s: skipped what names no stored events: %s", message.topic, error)
        return ()
