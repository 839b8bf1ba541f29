"""The retained states of people at the broker: what a hit makes of them, and who is taken back.

Whose state this agent has published stands in the outbox file, so that somebody who is removed
while the agent or the broker is away is taken back when both are there again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

from edge_reid.delivery.abandoned_outboxes import AbandonedOutboxes, named_other_than
from edge_reid.delivery.identity_sightings import IdentityNews, Sightings
from edge_reid.delivery.outbox import Outbox
from edge_reid.mqtt.refusals import NOTHING_REFUSED, Refusals
from edge_reid.wire.payloads import HitPayload

WIPE_RETRY_S = 10.0
"""Names that a disk would not let go of are wiped again after so long."""


@dataclass(frozen=True, slots=True, eq=False)
class Retraction:
    """People whose states are to be cleared. Another one takes its place; it never changes."""

    names: frozenset[str] = frozenset()
    last_seq: int = 0
    """Of the last event that may name one of them: their states are cleared after it."""
    enrolled: Container[str] = frozenset()
    """Who is not among those who are gone."""


class IdentityStates:
    """What the states say, and whose are to go. Several threads may use it."""

    def __init__(self, outbox: Outbox, abandoned: AbandonedOutboxes | None = None) -> None:
        self._outbox = outbox
        self._abandoned = abandoned
        self._retraction = Retraction()
        self._sightings: dict[str, Sightings] = {}  # by identity
        self._wiped = self._retraction  # none of whom is on this disk any more
        self._wiped_in_ours = self._retraction
        self._wipe_due_s = 0.0
        self._knows_enrolled = False  # who is enrolled
        self._lock = threading.Lock()  # nobody is forgotten while somebody is taken back

    def take_in(self, hit: HitPayload, *, is_inherited: bool = False) -> IdentityNews | None:
        """What the state of an identity is to say after this hit; None: what it says already."""
        sightings = self._sightings.setdefault(hit.identity, Sightings())
        return sightings.take_in(hit, is_inherited=is_inherited)

    @property
    def enrolled(self) -> Container[str] | None:
        """Who is enrolled, as the last retraction says; None before the first."""
        return self._retraction.enrolled if self._knows_enrolled else None

    @property
    def staying(self) -> frozenset[str]:
        """Whose state has been published, but for those who are being taken back."""
        return self._outbox.shown - self._retraction.names

    def retract(self, gone: Iterable[str], enrolled: Container[str]) -> None:
        """Have the states of all cleared who are not enrolled: of those whose state this
        agent has ever published, and of the `gone`.

        This holds until the next call. Whoever is enrolled again by then keeps the state.
        """
        with self._lock:
            self._outbox.note_shown(name for name in gone if name not in enrolled)
            names = self._shown_other_than(enrolled)
            self._retraction = Retraction(names, self._outbox.figures.last_seq, enrolled)
            self._knows_enrolled = True
            self._wipe_due_s = 0.0

    def due(self, refused: Refusals = NOTHING_REFUSED) -> Retraction | None:
        """Whose states may be cleared now; None while there is nobody, or their events wait.

        What the broker does not take is not waited for.

        Raises:
            OutboxError: the disk fails.
        """
        retraction = self._retraction
        return retraction if retraction.names and self._is_delivered(retraction, refused) else None

    @property
    def are_settled(self) -> bool:
        """Whether the broker has cleared all that it was to clear, no event waits that may name one
        of them, and no byte of them is left on this disk.
        """
        return self._wiped is self._retraction

    def wipe_when_due(self, refused: Refusals = NOTHING_REFUSED) -> None:
        """Take who is gone off this disk once the broker knows nobody of them any more.

        Events that it does not take would name them for ever: those are dropped, and counted.

        Raises:
            OutboxError: the disk fails.
        """
        retraction = self._retraction
        if retraction is self._wiped or retraction.names or time.monotonic() < self._wipe_due_s:
            return
        if not self._is_delivered(retraction, refused):
            return
        self._drop_refused(retraction, refused)
        self._wipe_due_s = time.monotonic() + WIPE_RETRY_S
        if self._wiped_in_ours is not retraction:
            if not self._outbox.wipe():
                return
            self._wiped_in_ours = retraction
        if self._are_abandoned_wiped(retraction):
            self._wiped = retraction

    def _are_abandoned_wiped(self, retraction: Retraction) -> bool:
        """Whether nobody who is gone is left in them either, nor at the broker because of them."""
        if self._abandoned is None:
            return True
        are_wiped = self._abandoned.wipe(retraction.enrolled, heir=self._outbox)
        with self._lock:
            if retraction is not self._retraction:
                return False
            names = self._shown_other_than(retraction.enrolled)
            if names:
                last_seq = self._outbox.figures.last_seq
                self._retraction = Retraction(names, last_seq, retraction.enrolled)
                self._wipe_due_s = 0.0
        return are_wiped and not names

    def _shown_other_than(self, enrolled: Container[str]) -> frozenset[str]:
        return frozenset(name for name in self._outbox.shown if name not in enrolled)

    def _drop_refused(self, retraction: Retraction, refused: Refusals) -> None:
        if refused:
            named = named_other_than(retraction.enrolled, self._outbox)
            self._outbox.discard(
                *(
                    seq
                    for seq, topic in named.items()
                    if refused.covers(topic, seq) and seq <= retraction.last_seq
                )
            )

    def note_cleared(self, retraction: Retraction) -> None:
        """The broker has cleared all of them. Says nothing if somebody was taken back meanwhile:
        whose states are still to go is then cleared once more.
        """
        with self._lock:
            if retraction is not self._retraction:
                return
            self._outbox.forget_shown(retraction.names)
            self._retraction = replace(retraction, names=frozenset())
        for name in retraction.names:
            self._sightings.pop(name, None)

    def _is_delivered(self, retraction: Retraction, refused: Refusals) -> bool:
        limit = 1 + len(refused.seqs)
        waiting = self._outbox.pending(limit=limit, without=refused.topics)
        oldest = next((row.seq for row in waiting if row.seq not in refused.seqs), None)
        return oldest is None or oldest > retraction.last_seq
