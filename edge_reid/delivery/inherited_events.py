"""Events of our cameras that wait in outboxes of agents that are gone: we deliver them.

So nothing that was committed is lost where the agents of a device's cameras become one, or one
becomes several. What is inherited gets our name and a number of ours and keeps its `event_id`; who
is killed in between inherits it once more. Only what has been nobody's for `ABANDONED_S` is taken:
by then an upgrade is confirmed, or the agents of before have it open again.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from edge_reid.core.errors import OutboxError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_row import Row
from edge_reid.delivery.unused_outboxes import ABANDONED_S, UnusedOutboxes
from edge_reid.wire.payloads import CameraEvent, parse_event
from edge_reid.wire.topics import Address

LOOK_S = 30.0
"""Between two looks at the folder."""
BATCH = 100
"""So many events are inherited at a time, and at most every second: brokers are not flooded."""
_BATCH_S = 1.0

_log = logging.getLogger(__name__)


class InheritedEvents:
    """Brings events from the outboxes beside the `heir` into it; not for several threads.

    Args:
        cameras: whose events are ours to deliver.
        only_enrolled: leave events that name somebody who is not enrolled to `AbandonedOutboxes`,
            as an agent does that confirms erasures.
        clock: seconds that only ever rise.
    """

    def __init__(
        self,
        heir: Outbox,
        address: Address,
        cameras: Iterable[str],
        *,
        only_enrolled: bool = False,
        after_s: float = ABANDONED_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._heir = heir
        self._agent = address.agent
        names = tuple(cameras)
        kinds = address.hits, address.unknowns, address.zones
        self._topics = frozenset(topic for of_kind in kinds for topic in map(of_kind, names))
        self._only_enrolled = only_enrolled
        self._clock = clock
        self._unused = UnusedOutboxes(heir.path, after_s=after_s, clock=clock)
        self._due_s = -math.inf
        self._exhausted: frozenset[Path] = frozenset()
        self._trouble = ""  # as last told

    def take_when_due(self, enrolled: Container[str] | None) -> int:
        """Inherit a batch, if there is one and it is time; returns of how many events.

        Args:
            enrolled: people; None: not known yet.
        """
        if self._clock() < self._due_s or (self._only_enrolled and enrolled is None):
            return 0
        try:
            taken = self._take(enrolled)
        except (OutboxError, OSError) as error:
            taken = 0
            if self._trouble != str(error):
                self._trouble = str(error)
                _log.warning("events of our cameras may wait elsewhere: %s", error)
        self._due_s = self._clock() + (_BATCH_S if taken else LOOK_S)
        return taken

    def _take(self, enrolled: Container[str] | None) -> int:
        unused = self._unused.look()
        self._exhausted &= unused
        for path in sorted(unused - self._exhausted):
            if self._unused.is_abandoned(path):
                taken, is_exhausted = self._take_from(path, enrolled)
                self._exhausted |= {path} if is_exhausted else set()
                if taken:
                    return taken
        return 0

    def _take_from(self, path: Path, enrolled: Container[str] | None) -> tuple[int, bool]:
        """How many events of an outbox were inherited, and whether none of ours are left in it."""
        if not any(path.with_name(path.name + suffix).exists() for suffix in ("", "-wal")):
            return 0, True
        with Outbox(path, max_age_s=math.inf) as abandoned:
            ours = dict(self._ours_in(abandoned, enrolled))
            events = [(row.topic, self._renamed(event)) for row, event in ours.items()]
            taken = self._heir.inherit(events)
            abandoned.acknowledge([row.seq for row in list(ours)[:taken]])
        if taken:
            line = "outbox %s: no agent has it any more; %d events of cameras of ours go from here"
            _log.warning(line, path, taken)
        return taken, not events

    def _ours_in(
        self, abandoned: Outbox, enrolled: Container[str] | None
    ) -> Iterator[tuple[Row, CameraEvent]]:
        """The oldest events of our cameras, a batch at most."""
        last_seq, found = 0, 0
        while rows := abandoned.pending(last_seq):
            last_seq = rows[-1].seq
            for row in rows:
                event = self._event(row, enrolled)
                if event and found < BATCH:
                    found += 1
                    yield row, event
            if found == BATCH:
                return

    def _event(self, row: Row, enrolled: Container[str] | None) -> CameraEvent | None:
        """What a row tells, if that is ours to deliver."""
        if row.topic not in self._topics:
            return None
        try:
            event = parse_event(row.body)
        except ValueError:
            return None
        if not self._only_enrolled or enrolled is None or event.named is None:
            return event
        return event if event.named in enrolled else None

    def _renamed(self, event: CameraEvent) -> CameraEvent:
        return event.model_copy(update={"agent": self._agent, "replayed": True})
