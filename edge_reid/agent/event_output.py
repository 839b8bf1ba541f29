"""Where the hits of a camera go: each is committed for the broker, and written as JSON line if
wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_reid.agent.corrections import (
    Corrections,
    PublishedName,
    operators_correction,
)
from edge_reid.agent.event_lines import EventLines
from edge_reid.agent.policy import PolicyHolder
from edge_reid.core.types import Hit, ZoneChange
from edge_reid.strangers.name_giver import NameGiver
from edge_reid.wire.events import Event, EventOrigin, OutgoingEvent
from edge_reid.wire.zone_events import ZoneEvent

Commit = Callable[[OutgoingEvent], int | None]
"""Takes an event for good; returns its number, None when the disk would not take it."""


class EventOutput:
    """Where the hits of one camera go.

    Args:
        origin: who says it; its gallery is the one in force when hits are written.
        policies: what hits are decided by.
        names: gives unknown people their anonymous names.
        commit: takes events for the broker; None when there is none.
        lines: of the whole agent; None when none are wanted.
        clock: Unix seconds now, for live sources; None: the time of a recording.
    """

    def __init__(
        self,
        origin: EventOrigin,
        policies: PolicyHolder,
        *,
        names: NameGiver,
        commit: Commit | None,
        lines: EventLines | None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._origin = origin
        self._policies = policies
        self._names = names
        self._commit = commit
        self._lines = lines
        self._corrections = Corrections()
        self._clock = clock
        self._newest_utc_s = 0.0  # of all decisions written
        self.written = 0
        """Events so far, corrections and zones among them; any thread may read it."""

    def write(self, hits: Sequence[Hit]) -> None:
        """Commit hits, in order. One that the outbox cannot take is counted there as dropped.

        Raises:
            StoreError: the file of JSON lines takes no more. All are committed, and whoever goes
                on does so without the file.
        """
        if not hits:
            return
        policy, origin = self._policies.current, self._origin_now
        told = (Event(hit, origin) for hit in self._names.assign(hits, policy.rules.min_crops))
        self._newest_utc_s = max(self._newest_utc_s, *(hit.decided_utc_s for hit in hits))
        self._put([event for one in told for event in self._corrections.with_correction(one)])

    def write_zones(self, changes: Sequence[ZoneChange]) -> None:
        """Commit what happened at zones and lines, in order.

        Raises:
            StoreError: as `write`.
        """
        self._put([ZoneEvent(change, self._origin) for change in changes])

    def take_back_removed(self) -> None:
        """Say of all in view who are not enrolled any more that nobody is to be taken for them.

        Raises:
            StoreError: as `write`.
        """
        index = self._policies.current.index
        self._put(self._corrections.of_removed(index, self._origin_now, self._now_utc_s))

    def published_as(self, event_id: str) -> PublishedName | None:
        """The name that an event of this camera told; None: none that can be taken back."""
        return self._corrections.published_as(event_id)

    def take_back(self, name: PublishedName) -> tuple[Event, ...]:
        """Say that somebody was not who they were published as, on all tracks of that visit.

        Returns:
            The events that are taken back, the last of each track; empty: the name is not
            published, or was taken back already.

        Raises:
            StoreError: as `write`.
        """
        origin, now_utc_s = self._origin_now, self._now_utc_s
        wrong = self._corrections.of_wrong(name)
        self._put([operators_correction(event, origin, now_utc_s) for event in wrong])
        return tuple(wrong)

    @property
    def _origin_now(self) -> EventOrigin:
        return replace(self._origin, gallery_version=self._policies.current.index.version)

    @property
    def _now_utc_s(self) -> float:
        return self._clock() if self._clock else self._newest_utc_s

    def _put(self, events: Sequence[OutgoingEvent]) -> None:
        self.written += len(events)
        if self._commit is not None:
            for event in events:
                self._commit(event)
        if self._lines is not None:
            for event in events:
                self._lines.write(event)
