"""What MQTT is told of the gallery in force.

Whoever is not enrolled any more is taken back: once every event that may name them has left the
outbox, their retained state at the broker is cleared. Only when the broker has said so, and the old
templates are overwritten, does the agent's status confirm the erasure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.gallery_sync import GallerySync, SyncState
from edge_reid.delivery.publisher import AgentFacts, Publisher
from edge_reid.matching.index import Index
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import GalleryState


class GalleryReport:
    """Compares what was told with what is so. Of the thread that takes the frames.

    Args:
        policies: the gallery in force.
        sync: how the gallery follows its source; None for a device that has its own.
        publisher: tells it.
        facts: what else the agent's status says.
    """

    def __init__(
        self,
        policies: CameraPolicies,
        sync: GallerySync | None,
        *,
        publisher: Publisher,
        facts: AgentFacts,
    ) -> None:
        self._policies = policies
        self._sync = sync
        self._publisher = publisher
        self._facts = facts
        self._index = policies.index  # as last told
        self._sync_state: SyncState | None = None  # as last told
        self._erased_through = 0  # version through which the broker has cleared whoever is gone
        self._is_settled = True  # `_erased_through` is what it can be
        if sync:
            self._tell(self._index)
        if sync is None or self._index.version:  # without a gallery nobody is known to be gone
            self._retract(sync.gone | set(sync.first.identities) if sync else ())

    def bring_up_to_date(self) -> None:
        """Tell what has changed since the last call; takes less than a frame."""
        index, state = self._policies.index, self._sync.state if self._sync else None
        if index is not self._index:
            before, self._index = self._index, index
            self._retract(before.identities)
            self._tell(index)
        elif state != self._sync_state:
            self._tell(index)
        if not self._is_settled and self._publisher.has_retracted:
            self._is_settled, self._erased_through = True, index.version
            self._tell(index)

    def _retract(self, gone: Iterable[str]) -> None:
        """Take back all whose state was told, and of `gone`, who are not enrolled now."""
        self._publisher.retract(gone, self._index)
        self._is_settled = self._sync is None  # nobody waits for word of it

    def _tell(self, index: Index) -> None:
        gallery = self._gallery_state(index, self._sync) if self._sync else None
        self._publisher.update(replace(self._facts, gallery_version=index.version, gallery=gallery))

    def _gallery_state(self, index: Index, sync: GallerySync) -> GalleryState:
        self._sync_state = state = sync.state
        return GalleryState(
            version=index.version,
            created_at=_moment(state.created_utc_s),
            checked_at=_moment(state.checked_utc_s),
            source=sync.source_name,
            refused=state.refused,
            erased_through=min(state.purged_through, self._erased_through),
        )


def _moment(utc_s: float | None) -> str | None:
    return None if utc_s is None else rfc3339(utc_s)
