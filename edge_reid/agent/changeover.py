"""A gallery that sync has made ready comes into force between two frames, and the world is told.

Whoever is not enrolled any more is also taken back: once every event that may name them has left
the outbox, their retained state at the broker is cleared. Only then, and with the old templates
overwritten, does the agent's status confirm the erasure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.herald import Herald
from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.uplink import Uplink
from edge_reid.gallery.index import Index
from edge_reid.messaging.mqtt import AgentFacts
from edge_reid.messaging.payloads import GalleryState
from edge_reid.messaging.wire import Message, rfc3339


@dataclass(frozen=True, slots=True)
class _Retraction:
    """People to take back at the broker."""

    version: int
    """Of the first gallery without them."""
    names: frozenset[str]
    last_seq: int
    """Of the last event that may name one of them."""


class Changeover:
    """Between the gallery in force and everything that goes by it.

    Args:
        sync: makes galleries ready; None for a box that has its own.
        index: the gallery in force at the start.
        threshold_of: least similarity of a known identity, for a gallery.
    """

    def __init__(
        self,
        sync: GallerySync | None,
        index: Index,
        *,
        pipeline: Pipeline,
        herald: Herald,
        uplink: Uplink | None,
        facts: AgentFacts,
        threshold_of: Callable[[Index], float],
    ) -> None:
        self._sync = sync
        self._index = index
        self._pipeline = pipeline
        self._herald = herald
        self._uplink = uplink
        self._facts = facts
        self._threshold_of = threshold_of
        self._told_through = 0
        self._telling = threading.Lock()  # both threads tell; the later must not say the older
        self._retractions: list[_Retraction] = []
        if sync:
            self._retract(sync.gone - set(index.identities))
            sync.changed = self._tell
            self._tell()

    @property
    def index(self) -> Index:
        """The gallery in force."""
        return self._index

    def between_frames(self) -> None:
        """Put a gallery in force that is ready; take a while of less than one frame."""
        index = self._sync.take() if self._sync else None
        if index is not None:
            self.put_in_force(index)
        if self._retractions:
            self._settle()

    def decide_anew(self) -> None:
        """Go by the threshold as it is now; between two frames."""
        self._pipeline.use(self._index, self._threshold_of(self._index))

    def put_in_force(self, index: Index) -> None:
        """Go by another gallery from now on; between two frames."""
        before, self._index = self._index, index
        self.decide_anew()
        self._herald.origin = replace(self._herald.origin, gallery_version=index.version)
        self._retract(name for name in before.identities if name not in index)
        self._tell()

    def _retract(self, names: Iterable[str]) -> None:
        last_seq = self._uplink.outbox.figures.last_seq if self._uplink else 0
        self._retractions.append(_Retraction(self._index.version, frozenset(names), last_seq))
        self._settle()

    def _settle(self) -> None:
        """Clear the states of those of whom no event waits any more."""
        waiting = self._uplink.outbox.pending(0, 1) if self._uplink else ()
        oldest_seq = waiting[0].seq if waiting else None
        while self._retractions and (
            oldest_seq is None or oldest_seq > self._retractions[0].last_seq
        ):
            done = self._retractions.pop(0)
            for name in sorted(done.names - set(self._index.identities)):
                self._clear(name)
            self._told_through = done.version
            self._tell()

    def _clear(self, name: str) -> None:
        if self._uplink:
            topic = self._uplink.address.identity(name)
            self._uplink.publisher.show(Message(topic, "", retain=True))

    def _tell(self) -> None:
        """Bring the agent's status up to date; also called from the thread of the sync."""
        if self._uplink is None:
            return
        with self._telling:
            facts = replace(
                self._facts, gallery_version=self._index.version, gallery=self._gallery_state()
            )
            self._uplink.publisher.update(facts)

    def _gallery_state(self) -> GalleryState | None:
        if self._sync is None:
            return None
        state = self._sync.state
        return GalleryState(
            version=self._index.version,
            created_at=_moment(state.created_utc_s),
            checked_at=_moment(state.checked_utc_s),
            source=self._sync.source_name,
            refused=state.refused,
            erased_through=min(state.purged_through, self._told_through),
        )


def _moment(utc_s: float | None) -> str | None:
    return None if utc_s is None else rfc3339(utc_s)
