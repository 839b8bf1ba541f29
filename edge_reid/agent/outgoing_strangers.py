"""Which strangers of this device lie at the broker for the others, and which should."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_reid.matching.vectors import pack_coarsely, vector_sha256
from edge_reid.mqtt.message import Message
from edge_reid.signing.certified_envelope import CertifiedKey
from edge_reid.strangers.stranger import Stranger
from edge_reid.wire.events import rfc3339
from edge_reid.wire.shared_strangers import FORMER_MAX, SharedStranger
from edge_reid.wire.topics import STRANGER, Address

Fingerprint = tuple[float, str, tuple[str, ...]]
"""What tells one state of somebody from another: until when they are kept, their vector, and names
that they had before."""
NextEditions = Callable[[int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Announced:
    """A message, and what it makes lie at the broker; None: nothing."""

    name: str
    message: Message
    fingerprint: Fingerprint | None


class OutgoingStrangers:
    """Compares what lies at the broker with who is remembered. Of one thread.

    Args:
        address: ours.
        key: signs.
        model_id: of the embeddings.
        next_editions: numbers for so many messages.
    """

    def __init__(
        self, address: Address, key: CertifiedKey, model_id: str, next_editions: NextEditions
    ) -> None:
        self._address = address
        self._key = key
        self._model_id = model_id
        self._next_editions = next_editions
        self._there: dict[str, Fingerprint | None] = {}  # None: something of an earlier start
        self._under_way: set[str] = set()
        self._wanted: dict[str, Fingerprint] = {}
        self._people: dict[str, Stranger] = {}

    @property
    def count(self) -> int:
        """Of people who lie there."""
        return sum(name in self._wanted for name in self._there)

    @property
    def is_settled(self) -> bool:
        """Whether nobody lies there who should not."""
        return self._there.keys() | self._under_way <= self._wanted.keys()

    def begin_anew(self) -> None:
        """On another connection: what was under way may have arrived, or not."""
        self._there |= dict.fromkeys(self._under_way)
        self._under_way.clear()

    def tell_anew(self) -> None:
        """Another clock counts: what was written by the one before may be refused by others."""
        self._there = dict.fromkeys(self._there)

    def found(self, name: str) -> None:
        """Something of ours lies there."""
        self._there.setdefault(name, None)

    def want(self, own: Iterable[Stranger], former: Mapping[str, tuple[str, ...]]) -> None:
        """Who should lie there, with the names that each had before."""
        self._people = {each.name: each for each in own}
        self._wanted = {
            name: (each.forgotten_utc_s, vector_sha256(each.vector), former.get(name, ()))
            for name, each in self._people.items()
        }

    def take_due(self, most: int, now_utc_s: float, *, tells: bool = True) -> list[Announced]:
        """What is to be sent next, people to be cleared first; without `tells` only those."""
        idle = [name for name in self._there if name not in self._under_way | self._wanted.keys()]
        gone = [self._clearing(name) for name in idle[:most]]
        new = [
            name
            for name, fingerprint in self._wanted.items()
            if tells and name not in self._under_way and self._there.get(name) != fingerprint
        ][: most - len(gone)]
        editions = self._next_editions(len(new)) if new else ()
        told = [
            self._telling(name, edition, now_utc_s)
            for name, edition in zip(new, editions, strict=True)
        ]
        self._under_way |= {each.name for each in (*gone, *told)}
        return [*gone, *told]

    def arrived(self, announced: Announced) -> None:
        """The broker has it."""
        self._under_way.discard(announced.name)
        if announced.fingerprint is None:
            self._there.pop(announced.name, None)
        else:
            self._there[announced.name] = announced.fingerprint

    def refused(self, announced: Announced) -> None:
        """The broker does not take it."""
        self._under_way.discard(announced.name)

    def _clearing(self, name: str) -> Announced:
        return Announced(name, Message(self._topic(name), "", retain=True), None)

    def _telling(self, name: str, edition: int, now_utc_s: float) -> Announced:
        person, fingerprint = self._people[name], self._wanted[name]
        shared = SharedStranger(
            site=self._address.site,
            agent=self._address.agent,
            stranger=name,
            formerly=fingerprint[2][:FORMER_MAX],
            edition=edition,
            model_id=self._model_id,
            vector=base64.b64encode(pack_coarsely(person.vector)).decode(),
            camera=person.camera,
            first_seen=rfc3339(person.first_seen_utc_s),
            last_seen=rfc3339(person.last_seen_utc_s),
            expires_at=rfc3339(person.forgotten_utc_s),
            at=rfc3339(now_utc_s),
        )
        message = Message(
            self._topic(name),
            self._key.sign(shared.to_json().encode()),
            retain=True,
            expiry_s=max(1, int(person.forgotten_utc_s - now_utc_s)),
        )
        return Announced(name, message, fingerprint)

    def _topic(self, name: str) -> str:
        address = self._address
        return STRANGER.name(address.root, address.site, agent=address.agent, stranger=name)
