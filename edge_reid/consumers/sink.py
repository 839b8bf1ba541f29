"""A consumer that keeps every event: from the broker into a store, each `event_id` once.

Several sinks of one group share the events of a large site among them. A sink acknowledges an event
to the broker, and names it to its agent, only when the store has it on disk; what a dying sink,
store or broker did not settle comes again.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from edge_reid.consumers.attribution import CameraRegister, not_published_by, topic_mismatch
from edge_reid.consumers.event_feed import EventFeed, FeedConnection
from edge_reid.consumers.event_store import (
    BATCH_MAX,
    EventStore,
    RejectedEventError,
    StoreUnavailableError,
)
from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.message_transport import UnreachableError
from edge_reid.wire.payloads import AnyEvent, EventsStored, parse_event
from edge_reid.wire.topics import Address

_log = logging.getLogger(__name__)

LINGER_S = 0.1
"""So long the first event of a batch waits for others to share its commit."""
RETRY_S = 1.0
"""Pause before broker or store are tried again."""
FINISH_S = 5.0
"""So long a sink that is to end goes on storing what it has in hand."""
HELD_MAX = 4 * BATCH_MAX
"""A sink that holds so many that its store would not take receives no more."""

_EventKey = tuple[str, str, str, str]
"""`event_id`, and who is said to send it: site, camera, agent."""


@dataclass(frozen=True, slots=True)
class SinkStats:
    """What a sink has seen so far."""

    stored: int = 0
    """Events that are new in the store."""
    again: int = 0
    """Events that were there already."""
    skipped: int = 0
    """Messages that are no event, claim what their publisher may not say, or do not fit the
    store."""


class Sink:
    """One consumer, in the caller's thread. `with` connects and leaves.

    Args:
        feed: where events come from, and which.
        confirms: whether to tell agents what is stored (`outbox.delivered = "sink"`).
        publisher_property: user property in which the broker says who published a message; None:
            it does not say.

    Raises:
        RefusedError: on entering, when the broker refuses us. One that is not there, at the start
            or later, only makes a pause: after a power cut everything starts in any order.
    """

    def __init__(
        self,
        feed: EventFeed,
        store: EventStore,
        *,
        confirms: bool = True,
        publisher_property: str | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        self._feed = feed
        self._root = feed.share.root
        self._store = store
        self._confirms = confirms
        self._publisher_property = publisher_property
        self._cameras = CameraRegister(self._root)
        self._retry_s = retry_s
        self._connection: FeedConnection | None = None
        self._arrived: deque[Received] = deque()  # events, as they came
        self._batch: dict[_EventKey, AnyEvent] = {}
        self._batch_began_s = 0.0
        # to be acknowledged on this connection, in this order, once its event is settled
        self._unsettled: deque[tuple[Received, _EventKey | None]] = deque()
        self._confirmations: deque[Message] = deque()
        self._broker_retry_s = self._store_retry_s = 0.0  # not before
        self.stats = SinkStats()
        self.trouble = ""
        """What is wrong now; empty when nothing is. Whoever shows it says it once."""

    def __enter__(self) -> Sink:
        try:
            self._connection = self._connect()
        except UnreachableError as error:
            self._lose(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def turn(self, timeout_s: float) -> None:
        """Receive for a moment, and store what is due.

        Raises:
            StoreError: the store is broken for good. Nothing unstored was acknowledged.
        """
        has_some = bool(self._batch or self._unsettled)
        wait_s = min(timeout_s, LINGER_S) if has_some else timeout_s
        self._receive(0.0 if has_some and self._is_due else wait_s)
        self._take_arrived()
        if (self._batch or self._unsettled) and self._is_due:
            self._settle()

    def finish(self) -> None:
        """Store what is in hand, and say so."""
        end_s = time.monotonic() + FINISH_S
        while self._settle() and self._batch and time.monotonic() < end_s:
            continue
        deadline_s = time.monotonic() + self._retry_s
        while self._connection and time.monotonic() < deadline_s:
            self._receive(0.0)
            if not self._confirmations and self._connection and self._connection.is_idle:
                break

    @property
    def is_connected(self) -> bool:
        """Whether the broker has us now; `trouble` says why not."""
        return self._connection is not None

    @property
    def _is_due(self) -> bool:
        now_s = time.monotonic()
        is_full = len(self._batch) >= self._store.batch_max
        has_lingered = now_s - self._batch_began_s >= LINGER_S
        return now_s >= self._store_retry_s and (is_full or has_lingered)

    def _receive(self, timeout_s: float) -> None:
        try:
            connection = self._connection or self._come_back()
            if connection is None:
                time.sleep(min(timeout_s, 0.1))
                return
            self._confirm(connection)
            connection.turn(timeout_s)
            connection.take_acknowledged()
        except BrokerError as error:
            self._lose(error)

    def _come_back(self) -> FeedConnection | None:
        is_full = len(self._batch) >= HELD_MAX
        if is_full or time.monotonic() < self._broker_retry_s:
            return None
        self._connection = self._connect()
        self.trouble = ""
        return self._connection

    def _connect(self) -> FeedConnection:
        return self._feed.connect(self._arrived.append, self._cameras.learn)

    def _lose(self, error: BrokerError) -> None:
        self._say(str(error))
        self._broker_retry_s = time.monotonic() + self._retry_s
        if self._connection:
            self._connection.abort()
            self._connection = None
        self._take_arrived()  # what came before the end
        self._unsettled.clear()  # the broker sends them again; who comes twice is known

    def _take_arrived(self) -> None:
        while self._arrived:
            self._take(self._arrived.popleft())

    def _take(self, received: Received) -> None:
        if not self._unsettled:
            self._batch_began_s = time.monotonic()
        self._unsettled.append((received, self._batched(received)))

    def _batched(self, received: Received) -> _EventKey | None:
        """The event of a message, put into the batch; None: it is skipped."""
        try:
            event = parse_event(received.body)
        except ValueError as error:
            self._skip(received.topic, str(error).splitlines()[0])
            return None
        objection = topic_mismatch(event, received.topic, self._root)
        if self._publisher_property and not objection:
            objection = not_published_by(event, received, self._publisher_property)
        if objection:
            self._skip(received.topic, objection)
            return None
        key = event.event_id, event.site, event.camera, event.agent
        if key in self._batch:
            self.stats = replace(self.stats, again=self.stats.again + 1)
        self._batch[key] = event
        return key

    def _settle(self) -> bool:
        """Store as many events as the store takes at once, the oldest; returns whether it did."""
        self._leave_out_the_disowned()
        events = dict(islice(self._batch.items(), self._store.batch_max))
        try:
            stored = self._write(list(events.values())) if events else []
        except StoreUnavailableError as error:
            self._say(str(error))
            self._store_retry_s = time.monotonic() + self._retry_s
            return False
        self.trouble = "" if self._connection else self.trouble
        for key in events:
            del self._batch[key]
        self._acknowledge_settled()
        if self._confirms:
            self._confirmations.extend(_confirmations(self._root, stored))
        return True

    def _acknowledge_settled(self) -> None:
        while self._unsettled and self._unsettled[0][1] not in self._batch:
            received, _ = self._unsettled.popleft()
            if self._connection:
                self._connection.acknowledge(received)

    def _leave_out_the_disowned(self) -> None:
        """Events of cameras that the agent they name does not speak for. Not sooner: what waited
        for us comes ahead of what agents say of themselves.
        """
        for key, event in list(self._batch.items()):
            if objection := self._cameras.objection(event):
                del self._batch[key]
                self._skip(f"event {event.event_id}", objection)

    def _write(self, events: Sequence[AnyEvent]) -> list[AnyEvent]:
        """Store events; returns those that are in the store now."""
        try:
            new = self._store.write(events)
        except RejectedEventError as error:
            if len(events) > 1:
                return [stored for event in events for stored in self._write([event])]
            self._skip(f"event {events[0].event_id}", str(error))
            return []
        stats = self.stats
        again = stats.again + len(events) - new
        self.stats = replace(stats, stored=stats.stored + new, again=again)
        return list(events)

    def _confirm(self, connection: FeedConnection) -> None:
        while self._confirmations and connection.room:
            connection.publish(self._confirmations.popleft())

    def _skip(self, what: str, why: str) -> None:
        _log.warning("skipped, on %s: %s", what, why)
        self.stats = replace(self.stats, skipped=self.stats.skipped + 1)

    def _say(self, trouble: str) -> None:
        self.trouble = trouble


def _confirmations(root: str, events: Iterable[AnyEvent]) -> list[Message]:
    """One message for every agent among them."""
    by_agent: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for event in events:
        by_agent[event.site, event.agent].append(event.event_id)
    return [
        Message(
            Address(root, site, agent).agent_stored,
            EventsStored(site=site, agent=agent, event_ids=tuple(ids[at : at + 1000])).to_json(),
        )
        for (site, agent), ids in by_agent.items()
        for at in range(0, len(ids), 1000)
    ]
