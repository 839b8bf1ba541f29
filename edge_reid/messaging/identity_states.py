"""The retained states of people at the broker: what a hit makes of them, and who is taken back.

Whose state this agent has told stands in the outbox file, so that somebody who is removed while the
agent or the broker is away is taken back when both are there again.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from dataclasses import dataclass

from edge_reid.messaging.outbox import Outbox
from edge_reid.messaging.payloads import HitPayload


@dataclass(frozen=True, slots=True, eq=False)
class Retraction:
    """People whose states are to be cleared. Another one takes its place; it never changes."""

    names: frozenset[str] = frozenset()
    last_seq: int = 0
    """Of the last event that may name one of them: their states are cleared after it."""


class IdentityStates:
    """What the states say, and whose are to go. Several threads may use it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._retraction = Retraction()
        self._told: dict[str, HitPayload] = {}  # what the state says, by identity
        self._lock = threading.Lock()  # nobody is forgotten while somebody is taken back

    def is_news(self, hit: HitPayload) -> bool:
        """Whether the state of an identity is to say what this hit says; asking is telling.

        Not when it says something newer, and not when a track ends while the state shows the same
        person in another one, which began before that end.
        """
        told = self._told.get(hit.identity)
        if told and (hit.seq < told.seq or _is_overtaken(hit, told)):
            return False
        self._told[hit.identity] = hit
        return True

    def retract(self, gone: Iterable[str], enrolled: Container[str]) -> None:
        """Have the states of all cleared who are not enrolled: of those whom this agent has ever
        told, and of the `gone`.

        This holds until the next call. Whoever is enrolled again by then keeps the state.
        """
        with self._lock:
            self._outbox.note_shown(name for name in gone if name not in enrolled)
            names = frozenset(name for name in self._outbox.shown if name not in enrolled)
            self._retraction = Retraction(names, self._outbox.figures.last_seq)

    @property
    def due(self) -> Retraction | None:
        """Whose states may be cleared now; None while there is nobody, or their events wait.

        Raises:
            OutboxError: the disk fails.
        """
        retraction = self._retraction
        return retraction if retraction.names and self._is_told(retraction) else None

    @property
    def are_settled(self) -> bool:
        """Whether the broker has cleared all that it was to clear, and no event waits that may
        name one of them.

        Raises:
            OutboxError: the disk fails.
        """
        retraction = self._retraction
        return not retraction.names and self._is_told(retraction)

    def note_cleared(self, retraction: Retraction) -> None:
        """The broker has cleared all of them. Says nothing if somebody was taken back meanwhile:
        whose states are still to go is then cleared once more.
        """
        with self._lock:
            if retraction is not self._retraction:
                return
            self._outbox.forget_shown(retraction.names)
            self._retraction = Retraction(last_seq=retraction.last_seq)
        for name in retraction.names:
            self._told.pop(name, None)

    def _is_told(self, retraction: Retraction) -> bool:
        oldest = self._outbox.pending(limit=1)
        return not oldest or oldest[0].seq > retraction.last_seq


def _is_overtaken(hit: HitPayload, told: HitPayload) -> bool:
    is_end_of_another = hit.type == "end" and _track(hit) != _track(told)
    return is_end_of_another and told.type != "end"


def _track(hit: HitPayload) -> tuple[str, int, str]:
    """What tells a track from any other, of runs before this one too."""
    return hit.camera, hit.track_id, hit.first_seen
