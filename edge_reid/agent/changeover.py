"""A gallery that was made ready comes into force between two frames, and the world is told.

Whoever is not enrolled any more is also taken back: once every event that may name them has left
the outbox, their retained state at the broker is cleared. Only when the broker has said so, and the
old templates are overwritten, does the agent's status confirm the erasure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.uplink import Uplink
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.matching.index import Index
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import GalleryState


class Changeover:
    """Between the gallery in force and everything that goes by it.

    Args:
        sync: makes galleries ready; None for a device that has its own.
        index: the gallery in force at the start.
        watch: makes galleries ready that come from the device's own file.
        threshold_of: least similarity of a known identity, for a gallery.
    """

    def __init__(
        self,
        sync: GallerySync | None,
        index: Index,
        *,
        pipeline: Pipeline,
        herald: EventOutput,
        uplink: Uplink | None,
        facts: AgentFacts,
        threshold_of: Callable[[Index], float],
        watch: GalleryWatch | None = None,
    ) -> None:
        self._sync = sync
        self._origin = sync or watch
        self._index = index
        self._pipeline = pipeline
        self._herald = herald
        self._uplink = uplink
        self._facts = facts
        self._threshold_of = threshold_of
        self._told_through = 0
        self._is_settled = True  # `_told_through` is what it can be
        self._telling = threading.Lock()  # both threads tell; the later must not say the older
        if sync:
            sync.changed = self._tell
            self._tell()
        if sync is None or index.version:  # who has no gallery yet knows of nobody who is gone
            self._retract(sync.gone | set(sync.first.identities) if sync else ())

    @property
    def index(self) -> Index:
        """The gallery in force."""
        return self._index

    def between_frames(self) -> None:
        """Put a gallery in force that is ready; take a while of less than one frame."""
        index = self._origin.take() if self._origin else None
        if index is not None:
            self.put_in_force(index)
        if not self._is_settled:
            self._settle()

    def decide_anew(self) -> None:
        """Go by the threshold as it is now; between two frames."""
        self._pipeline.use(self._index, self._threshold_of(self._index))

    def put_in_force(self, index: Index) -> None:
        """Go by another gallery from now on; between two frames."""
        before, self._index = self._index, index
        self._herald.origin = replace(self._herald.origin, gallery_version=index.version)
        self._retract(before.identities)
        self.decide_anew()
        self._tell()

    def _retract(self, gone: Iterable[str]) -> None:
        """Take back all whose state was told, and of `gone`, who are not enrolled now."""
        if self._uplink:
            self._uplink.publisher.retract(gone, self._index)
        self._is_settled = self._sync is None  # nobody waits for word of it

    def _settle(self) -> None:
        """Confirm the erasures of the gallery in force once the broker has cleared everything."""
        if self._uplink is None or self._uplink.publisher.has_retracted:
            self._is_settled = True
            self._told_through = self._index.version
            self._tell()

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
