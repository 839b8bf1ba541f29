"""Outboxes beside ours that no agent works on any more: of one that was renamed, or removed.

Nobody empties them, and nobody wipes them when a person is erased. So an agent that confirms
erasures does, before it confirms one. What names somebody who is not enrolled goes, and is counted
in that outbox; everything else stays, for an agent that comes back. Nobody's outbox is touched
while an agent has it open, nor soon after: that agent may be about to start, and wipes its own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Container
from pathlib import Path

from edge_reid.core.errors import OutboxError
from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_file import remove_quarantined
from edge_reid.delivery.unused_outboxes import ABANDONED_S, UnusedOutboxes
from edge_reid.wire.payloads import parse_event

_log = logging.getLogger(__name__)


class AbandonedOutboxes:
    """Those in the folder of `ours`; not for several threads."""

    def __init__(
        self,
        ours: Path,
        *,
        after_s: float = ABANDONED_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unused = UnusedOutboxes(ours, after_s=after_s, clock=clock)
        self._enrolled: Container[str] | None = None
        self._clean: set[Path] = set()
        self._troubles: dict[Path, str] = {}  # as last told

    def wipe(self, enrolled: Container[str], heir: Outbox) -> bool:
        """Leave no byte in them of anybody who is not enrolled; False: not yet.

        Whose state lies at the broker because of them is noted in the `heir` first.

        Raises:
            OutboxError: the folder cannot be read.
        """
        if enrolled is not self._enrolled:
            self._enrolled = enrolled
            self._unused.forget()
            self._clean.clear()
        unused = self._unused.look()
        self._clean &= unused
        for path in unused - self._clean:
            is_due = self._unused.is_abandoned(path)
            if is_due and self._try_to_wipe(path, enrolled, heir):
                self._clean.add(path)
        return unused <= self._clean

    def _try_to_wipe(self, path: Path, enrolled: Container[str], heir: Outbox) -> bool:
        try:
            return _wipe(path, enrolled, heir)
        except (OutboxError, OSError) as error:
            if self._troubles.get(path) != str(error):
                self._troubles[path] = str(error)
                _log.warning("no erasure is confirmed while names may be left here: %s", error)
            return False


def named_other_than(enrolled: Container[str], outbox: Outbox) -> dict[int, str]:
    """Topics, by `seq`, of the waiting events that name somebody who is not enrolled.

    Raises:
        OutboxError: the disk fails.
    """
    found: dict[int, str] = {}
    last_seq = 0
    while rows := outbox.pending(last_seq):
        last_seq = rows[-1].seq
        found |= {row.seq: row.topic for row in rows if _names_other_than(enrolled, row.body)}
    return found


def _wipe(path: Path, enrolled: Container[str], heir: Outbox) -> bool:
    if not any(path.with_name(path.name + suffix).exists() for suffix in ("", "-wal")):
        remove_quarantined(path)
        return True
    with Outbox(path, max_age_s=math.inf) as abandoned:
        gone = frozenset(name for name in abandoned.shown if name not in enrolled)
        heir.note_shown(gone)
        dropped = named_other_than(enrolled, abandoned)
        abandoned.discard(*dropped)
        abandoned.forget_shown(gone)
        is_wiped = abandoned.wipe() and not named_other_than(enrolled, abandoned)
    if dropped:
        line = "outbox %s: no agent has it any more; dropped %d events of who is gone"
        _log.warning(line, path, len(dropped))
    return is_wiped


def _names_other_than(enrolled: Container[str], body: bytes) -> bool:
    try:
        event = parse_event(body)
    except ValueError:
        return True
    return event.named is not None and event.named not in enrolled
