"""What travels over one connection, in which order, and what is done when it has arrived."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from edge_reid.messaging.connection import WINDOW, Connection
from edge_reid.messaging.outbox import Entry, Outbox
from edge_reid.messaging.payloads import HitPayload
from edge_reid.messaging.topics import Address
from edge_reid.messaging.wire import Message, identity_message

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parcel:
    message: Message
    seq: int | None = None
    """Of the event it delivers; None for a state."""


class Courier:
    """Carries states and the outbox over one connection.

    States go first: what is true now, before what has happened. Events follow in order; those
    that were committed before the connection came up are marked as replayed. Every hit takes
    the retained state of its identity along, ahead of itself, so that its acknowledgement
    covers both.
    """

    def __init__(self, connection: Connection, outbox: Outbox, address: Address) -> None:
        self._connection = connection
        self._outbox = outbox
        self._address = address
        self._states: deque[_Parcel] = deque()
        self._events: deque[_Parcel] = deque()
        self._on_the_way: dict[int, int] = {}  # packet id -> seq
        self._last_read = 0
        self._last_replayed = outbox.figures.last_seq

    def send(self, states: Iterable[Message], *, events: bool = True) -> None:
        """Put on the wire what the broker has room for: states, then events if wanted."""
        self._states.extend(_Parcel(state) for state in states)
        while self._connection.room and (parcel := self._next(events=events)):
            packet_id = self._connection.publish(parcel.message)
            if parcel.seq is not None:
                self._on_the_way[packet_id] = parcel.seq

    def settle(self) -> int:
        """Take delivered events out of the outbox; returns how many."""
        packet_ids = self._connection.take_acknowledged()
        seqs = [self._on_the_way.pop(it) for it in packet_ids if it in self._on_the_way]
        if seqs:
            self._outbox.acknowledge(seqs)
        return len(seqs)

    @property
    def is_idle(self) -> bool:
        """Whether every state and event handed over has arrived."""
        return self._connection.is_idle and not self._states

    def _next(self, *, events: bool) -> _Parcel | None:
        if self._states:
            return self._states.popleft()
        if events and not self._events:
            self._read_on()
        return self._events.popleft() if events and self._events else None

    def _read_on(self) -> None:
        for entry in self._outbox.pending(self._last_read, WINDOW):
            self._last_read = entry.seq
            try:
                self._events.extend(self._pack(entry))
            except ValueError as error:  # a bit has flipped on the disk
                _log.error("event %d is damaged and dropped: %s", entry.seq, error)
                self._outbox.discard(entry.seq)

    def _pack(self, entry: Entry) -> list[_Parcel]:
        content = json.loads(entry.body)
        content["replayed"] = entry.seq <= self._last_replayed
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        parcels = [_Parcel(Message(entry.topic, text), entry.seq)]
        if content["identity"] is not None:
            hit = HitPayload.model_validate(content)
            parcels.insert(0, _Parcel(identity_message(hit, self._address)))
        return parcels
