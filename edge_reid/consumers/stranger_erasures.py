"""Have every device of a site forget strangers, and see which have.

The order stands at the broker until all have done it, so that a device that is away does so when it
is back. What devices have told each other of these people is cleared at once, also in the place of
those that are away.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from edge_reid.consumers.fleet import Fleet, FleetMember
from edge_reid.core.errors import CommandError
from edge_reid.mqtt.connection import Connection
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.retained import clear_topics, read_by_wildcard, read_retained
from edge_reid.signing.certified_envelope import CertificateAuthority, CertifiedKey
from edge_reid.signing.envelope import EnvelopeError
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import StrangersState
from edge_reid.wire.shared_strangers import (
    MAX_SIGNED_BYTES,
    NAMES_MAX,
    ORDERS_MAX,
    StrangerErasure,
    StrangerErasures,
    verified_erasures,
)
from edge_reid.wire.topics import (
    AGENT_STATUS,
    COMMANDER,
    NOBODYS_NAME,
    STRANGER,
    STRANGER_ERASURES,
)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Which devices have done an erasure."""

    erasure: StrangerErasure
    done: tuple[FleetMember, ...]
    waiting: tuple[FleetMember, ...]


class SiteStrangers:
    """The strangers that the devices of a site share, as a commander sees them.

    Args:
        connection: of the commander.
        key: the commander's, which signs.
        authority: of the site.
    """

    def __init__(
        self,
        connection: Connection,
        root: str,
        site: str,
        *,
        key: CertifiedKey,
        authority: CertificateAuthority,
    ) -> None:
        self._connection = connection
        self._root = root
        self._site = site
        self._key = key
        self._authority = authority
        self._fleet = Fleet(root, site)
        self._orders: tuple[StrangerErasure, ...] = ()
        self._has_all = False  # of what stands at the broker
        self._orders_topic = STRANGER_ERASURES.name(root, site)

    def read(self) -> None:
        """What stands at the broker now: devices and erasures; from then on it is followed."""
        self._connection.subscribe(
            [AGENT_STATUS.filter(self._root, self._site), self._orders_topic]
        )
        found = read_retained(self._connection.receive)
        for message in found.messages:
            self._hear(message)
        self._has_all = found.is_whole

    @property
    def sharing(self) -> tuple[FleetMember, ...]:
        """Devices that share strangers."""
        return tuple(member for member in self._fleet.members if _state_of(member))

    @property
    def receipts(self) -> tuple[Receipts, ...]:
        """Of every erasure that stands, the newest last."""
        return tuple(self._receipts(order) for order in self._orders)

    def order(self, strangers: Collection[str] | None) -> StrangerErasure:
        """Have all devices forget people, by any name that they have or had; None: everybody.

        Erasures that all devices have done stand no longer.

        Raises:
            CommandError: the certificate is no commander's of this site, or too many stand; or the
                broker does not show what lies there, and it is ordered all the same.
            RefusedError, UnreachableError: the broker does not take it.
        """
        holder = self._key.holder
        if holder.role != COMMANDER.role or holder.site not in {None, self._site}:
            raise CommandError(
                f"expected the certificate of a commander of {self._site}, got that of {holder}; "
                "devices obey no other"
            )
        if not self._has_all:
            raise CommandError(
                "expected all devices and erasures of the site, got part of them within the time; "
                "an order now could undo others: order it again"
            )
        now = rfc3339(time.time())
        erasure = _new_erasure(strangers, now)
        standing = [receipts.erasure for receipts in self.receipts if receipts.waiting]
        orders = StrangerErasures(
            site=self._site, erasures=(*standing[: ORDERS_MAX - 1], erasure), at=now
        )
        body = self._key.sign(orders.to_json().encode())
        if len(standing) >= ORDERS_MAX or len(body) > MAX_SIGNED_BYTES:
            raise CommandError(
                f"expected at most {ORDERS_MAX} erasures that wait for a device, of"
                f" {MAX_SIGNED_BYTES} bytes, got {len(standing) + 1} of {len(body)}; see which"
                " device is away, and forget it if it is gone"
            )
        self._connection.check_that_it_retains("an erasure")
        self._connection.publish(Message(self._orders_topic, body, retain=True))
        while not self._connection.is_idle:
            self._connection.turn(1.0)
        self._orders = orders.erasures
        self._clear_shared(erasure)
        return erasure

    def follow(self, erasure: StrangerErasure, timeout_s: float) -> Iterator[Receipts]:
        """The receipts as they come, until all devices have done it or the time is over.

        Raises:
            CommandError: it does not stand any more.
        """
        deadline_s = time.monotonic() + timeout_s
        yield (receipts := self._receipts(erasure))
        while receipts.waiting and (left_s := deadline_s - time.monotonic()) > 0:
            if message := self._connection.receive(left_s):
                self._hear(message)
                self._check_that_it_stands(erasure)
                yield (receipts := self._receipts(erasure))

    def _check_that_it_stands(self, erasure: StrangerErasure) -> None:
        if erasure.id not in {order.id for order in self._orders}:
            raise CommandError(
                f"erasure {erasure.id}: somebody else has ordered one at the same moment, which "
                "took its place; order it again"
            )

    def _hear(self, message: Received) -> None:
        if message.topic != self._orders_topic:
            self._fleet.learn(message)
        elif message.body:
            self._orders = self._verified(message.body)

    def _verified(self, body: bytes) -> tuple[StrangerErasure, ...]:
        """Of what no commander has signed, nothing: no device does that either."""
        try:
            orders = verified_erasures(
                body, self._authority, site=self._site, now_utc_s=time.time()
            )
        except EnvelopeError:
            return ()
        return orders.erasures

    def _clear_shared(self, erasure: StrangerErasure) -> None:
        """Take away what devices, also those that are away, have told of these people."""
        names = [None] if erasure.strangers is None else list(erasure.strangers)
        filters = [
            STRANGER.filter(self._root, self._site, stranger=name)
            for name in (*names, NOBODYS_NAME)
        ]
        proof = STRANGER.name(self._root, self._site, agent=NOBODYS_NAME, stranger=NOBODYS_NAME)
        found = read_by_wildcard(self._connection, filters, proof)
        if found is None:
            raise CommandError(
                f"erasure {erasure.id} is ordered; but the broker shows nobody what lies there, as "
                "RabbitMQ does: who has done it cannot be seen, and what devices have told stays "
                "at the broker; look at each device (edge-reid gallery strangers)"
            )
        for message in found.messages:
            self._hear(message)
        shared = [
            message.topic
            for message in found.messages
            if STRANGER.names_in(message.topic, self._root)
        ]
        clear_topics(self._connection, shared)

    def _receipts(self, erasure: StrangerErasure) -> Receipts:
        done = {member.name for member in self.sharing if erasure.id in _erased(member)}
        return Receipts(
            erasure,
            tuple(member for member in self.sharing if member.name in done),
            tuple(member for member in self.sharing if member.name not in done),
        )


def _new_erasure(strangers: Collection[str] | None, now: str) -> StrangerErasure:
    named = None if strangers is None else tuple(sorted(strangers))
    if named is not None and not 0 < len(named) <= NAMES_MAX:
        raise CommandError(
            f"expected 1 to {NAMES_MAX} names in an erasure, got {len(named)}; order several, one "
            "after the other"
        )
    return StrangerErasure(id=secrets.token_hex(8), strangers=named, issued_at=now)


def receipt_lines(receipts: Receipts, now: datetime | None = None) -> Iterator[str]:
    """Who has done an erasure, and why others have not, a line each."""
    moment = now or datetime.now(timezone.utc)
    erasure = receipts.erasure
    count = len(receipts.done) + len(receipts.waiting)
    whom = "everybody" if erasure.strangers is None else ", ".join(erasure.strangers)
    when = f"{erasure.issued_at[:10]} {erasure.issued_at[11:16]} UTC"
    yield f"erased {when}, {whom}: done by {len(receipts.done)} of {count}"
    for member in receipts.waiting:
        presence = member.presence(moment)
        why = (
            (_state_of(member) or _NONE).trouble or "not done yet"
            if presence == "online"
            else f"{presence}; it does so when it is back"
        )
        yield f"  {member.name}: {why}"


_NONE = StrangersState(shared=0, heard=0, heard_from=0, refused=0, trouble=None, erased=())


def _state_of(member: FleetMember) -> StrangersState | None:
    return member.status.strangers if member.status else None


def _erased(member: FleetMember) -> Sequence[str]:
    state = _state_of(member)
    return state.erased if state else ()
