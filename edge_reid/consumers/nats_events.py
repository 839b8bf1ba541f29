"""What a group of sinks is to store, out of the stream of a NATS cluster.

nats-py speaks the protocol, in an event loop that runs only while the caller's thread turns it. It
does not reconnect: like every connection of ours, one that is lost is over, with a reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from edge_reid.consumers.event_feed import Hear
from edge_reid.consumers.event_store import BATCH_MAX
from edge_reid.consumers.nats_client import ANSWER_TIMEOUT_S, SafeClient, explained
from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.message import Received
from edge_reid.mqtt.message_transport import UnreachableError
from edge_reid.wire.nats_subjects import MESSAGES, SinkSubjects, topic_of
from edge_reid.wire.topics import EVENTS, Topic

T = TypeVar("T")

OPEN_TIMEOUT_S = 15.0
"""To find a node, to log in, and to have all consumers."""
CLOSE_TIMEOUT_S = 1.0
"""nats-py waits for ever for the end of a connection that never got as far as TLS."""
HELD_MAX = 2 * BATCH_MAX
"""Events that one sink may have received and not acknowledged."""
REQUEST_MAX = HELD_MAX // len(EVENTS)
"""Events of one kind that are asked for at a time."""
GROUP_HELD_MAX = 20 * BATCH_MAX
"""The same of all sinks of a group."""
ACK_WAIT_S = 15.0
"""What a sink that is gone had not acknowledged goes to another after so long: less than an agent
waits for a sink's word before it sends an event again. One that is there and waits for its store
says so in time, and keeps it."""
AWAY_S = 7 * 86_400.0
"""So long the cluster keeps the place of a group of which no sink is there, as an agent would."""
REQUEST_S = 2.0
"""A request for events is open for so long; after a second more without an answer it was lost with
its node."""
MAKE_AGAIN_S = 10.0
"""Between two attempts to make a consumer for which the cluster did not answer."""
PAUSE_S = 0.25
"""Before a consumer that has no leader just now is asked again."""

_STATUS = "Status"
_RAN_OUT = "408"
_ACK = b"+ACK"
_IN_HAND = b"+WPI"


@dataclass(frozen=True, slots=True)
class _InHand:
    """An event that is not acknowledged yet."""

    received: Received
    reply: str
    """Where to acknowledge it."""


@dataclass(slots=True)
class _Request:
    """For messages of one consumer."""

    durable: str
    is_made: bool = False
    """Whether the cluster has said that this consumer is there."""
    inbox: str = ""
    """Where they come."""
    is_open_for: int = 0
    """Messages that it may still bring."""
    next_s: float = 0.0
    """When the next one may be made."""


class NatsEvents:
    """A connection to the client port of a cluster, driven by the thread that made it.

    Raises:
        RefusedError: the cluster does not want us, or we do not trust it.
        UnreachableError: no node is there, or it has no MQTT side.
    """

    def __init__(self, servers: Broker, subjects: SinkSubjects, hear: Hear) -> None:
        self._servers = servers
        self._subjects = subjects
        self._hear = hear
        self._loop = asyncio.new_event_loop()
        self._client = SafeClient()
        self._news = asyncio.Event()
        self._requests = {topic: _Request(subjects.durable(topic)) for topic in EVENTS}  # by kind
        self._held: dict[int, _InHand] = {}  # by its number in the stream
        self._acknowledged: list[str] = []  # of these, not told yet
        self._arrived: list[Received] = []
        self._make_s = 0.0  # when to ask again for consumers that the cluster did not answer for
        self._making: asyncio.Task[bool] | None = None  # kept, or it would be forgotten half-way
        self._claim_s = 0.0  # when to say again that it is in hand
        self._complaint = ""  # what the client said last was wrong
        self._failure: BrokerError | None = None
        try:
            self._run(self._open(), OPEN_TIMEOUT_S)
        except BrokerError:
            self.close()
            raise

    @property
    def is_idle(self) -> bool:
        """Whether everything acknowledged has reached the cluster."""
        return not self._acknowledged

    @property
    def has_all(self) -> bool:
        """Whether the cluster has said that there is a consumer for every kind of event."""
        return all(request.is_made for request in self._requests.values())

    def acknowledge(self, received: Received) -> None:
        """With the next turn: the event need not come again."""
        held = self._held.get(received.packet_id)
        if held and held.received is received:
            del self._held[received.packet_id]
            self._acknowledged.append(held.reply)

    def turn(self, timeout_s: float) -> None:
        """Acknowledge, ask for more, wait for what comes, and hand it over.

        Raises:
            RefusedError, UnreachableError: the connection is over, and why.
        """
        self._run(self._turn(timeout_s), timeout_s + ANSWER_TIMEOUT_S)
        if self._failure:
            raise self._failure
        arrived, self._arrived = self._arrived, []
        for received in arrived:
            self._hear(received)

    def close(self) -> None:
        """Hang up; what is held goes to another sink when its time is over."""
        if self._loop.is_closed():
            return
        try:
            self._loop.run_until_complete(asyncio.wait_for(self._client.close(), CLOSE_TIMEOUT_S))
        except (nats.errors.Error, OSError, asyncio.TimeoutError):
            pass  # it is lost already
        finally:
            self._end_tasks()
            self._loop.close()

    def _end_tasks(self) -> None:
        """What nats-py leaves behind: its loop is closed with nothing pending."""
        if tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks))

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        try:
            return self._loop.run_until_complete(asyncio.wait_for(work, timeout_s))
        except (nats.errors.Error, OSError, asyncio.TimeoutError) as error:
            raise self._failure or self._explained(error) from error

    def _explained(self, error: Exception) -> BrokerError:
        return explained(error, self._servers, self._complaint)

    async def _open(self) -> None:
        await self._client.reach(
            self._servers, self._subjects.inbox, self._note_complaint, self._note_end
        )
        for request in self._requests.values():
            request.inbox = self._client.new_inbox()
            await self._client.subscribe(request.inbox, cb=self._listener(request))
        if not await self._make_consumers():
            raise asyncio.TimeoutError

    async def _make_consumers(self) -> bool:
        """See that there is one for each kind of event; returns whether the cluster has answered
        for any. One for which it does not, as its nodes agree on a leader, keeps no other kind
        waiting: most likely it is there.
        """
        wanted = [topic for topic, request in self._requests.items() if not request.is_made]
        self._make_s = time.monotonic() + MAKE_AGAIN_S
        return any(await asyncio.gather(*map(self._make_consumer, wanted)))

    async def _make_consumer(self, topic: Topic) -> bool:
        request = self._requests[topic]
        with contextlib.suppress(nats.errors.TimeoutError, nats.js.errors.ServiceUnavailableError):
            await self._client.jetstream(timeout=ANSWER_TIMEOUT_S).add_consumer(
                MESSAGES,
                ConsumerConfig(
                    name=request.durable,
                    durable_name=request.durable,
                    filter_subject=self._subjects.kept(topic),
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT_S,
                    max_ack_pending=GROUP_HELD_MAX,
                    inactive_threshold=AWAY_S,
                ),
            )
            request.is_made = True
        return request.is_made

    async def _make_missing(self) -> None:
        """Try once more, beside what is received meanwhile."""
        if self._making is not None and self._making.done():
            self._making.result()  # raises what is no silence
            self._making = None
        if not self.has_all and self._making is None and time.monotonic() >= self._make_s:
            self._making = asyncio.create_task(self._make_consumers())

    async def _turn(self, timeout_s: float) -> None:
        self._news.clear()
        await self._make_missing()
        await self._tell_acknowledged()
        await self._claim_held()
        for request in self._requests.values():
            await self._ask(request)
        if not self._arrived:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._wait_s(timeout_s))

    async def _tell_acknowledged(self) -> None:
        if not self._acknowledged:
            return
        for reply in self._acknowledged:
            await self._client.publish(reply, _ACK)
        await self._client.flush(int(ANSWER_TIMEOUT_S))
        self._acknowledged.clear()

    async def _claim_held(self) -> None:
        """Say of what waits for its store that nobody else need have it."""
        if time.monotonic() < self._claim_s:
            return
        self._claim_s = time.monotonic() + ACK_WAIT_S / 3
        for held in self._held.values():
            await self._client.publish(held.reply, _IN_HAND)

    async def _ask(self, request: _Request) -> None:
        """For as many events as there is room for, unless the last request is still open. That one
        is over, answered or not, when the next is due: one that nobody heard promises nothing. No
        kind takes the room of the others.
        """
        now_s = time.monotonic()
        if now_s < request.next_s:
            return
        request.is_open_for = 0
        promised = sum(other.is_open_for for other in self._requests.values())
        wanted = min(REQUEST_MAX, HELD_MAX - len(self._held) - promised)
        if wanted <= 0:
            return
        request.is_open_for, request.next_s = wanted, now_s + REQUEST_S + 1.0
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{MESSAGES}.{request.durable}",
            json.dumps({"batch": wanted, "expires": int(REQUEST_S * 1e9)}).encode(),
            reply=request.inbox,
        )

    def _wait_s(self, timeout_s: float) -> float:
        """Not longer than until a request has to be made again."""
        next_s = min(request.next_s for request in self._requests.values()) - time.monotonic()
        return min(timeout_s, max(next_s, PAUSE_S / 10))

    def _listener(self, request: _Request) -> Callable[[Msg], Awaitable[None]]:
        async def listen(message: Msg) -> None:
            self._news.set()
            if message.headers and _STATUS in message.headers:
                self._note_answer(request, message.headers[_STATUS])
            else:
                self._take(request, message)

        return listen

    def _note_answer(self, request: _Request, status: str) -> None:
        """A request is over without bringing all it could: its time, or its consumer's leader, is
        gone.
        """
        pause_s = 0.0 if status == _RAN_OUT else PAUSE_S
        request.is_open_for, request.next_s = 0, time.monotonic() + pause_s

    def _take(self, request: _Request, message: Msg) -> None:
        """An event, unless we hold it already: then only where to acknowledge it is new."""
        request.is_open_for = max(0, request.is_open_for - 1)
        if request.is_open_for == 0:
            request.next_s = 0.0
        number = message.metadata.sequence.stream
        held = self._held.get(number)
        # a node that takes over may give a number again that it never knew to be taken
        if held is None or held.received.body != message.data:
            topic = topic_of(message.subject)
            held = _InHand(Received(topic, message.data, False, packet_id=number), "")
            self._arrived.append(held.received)
        self._held[number] = _InHand(held.received, message.reply)

    async def _note_complaint(self, error: Exception) -> None:
        self._complaint = str(error)
        if "permissions violation" in self._complaint.lower():
            self._failure = self._explained(error)
            self._news.set()

    async def _note_end(self) -> None:
        self._failure = self._failure or UnreachableError(
            f"{self._servers}: hung up; the connection is lost"
        )
        self._news.set()
