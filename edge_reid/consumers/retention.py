"""How long a sink keeps events: what is older is deleted, now and then."""

from __future__ import annotations

import logging
import time

from edge_reid.consumers.event_store import EventStore, StoreUnavailableError

_log = logging.getLogger(__name__)

EVERY_S = 3600.0
RETRY_S = 60.0
"""After a store that was not there, or a month that somebody was reading."""


class Retention:
    """Deletes from a store what was decided longer ago than `keep_s`; None: nothing, ever."""

    def __init__(self, store: EventStore, keep_s: float | None) -> None:
        self._store = store
        self._keep_s = keep_s
        self._due_s = 0.0

    def turn(self) -> None:
        """Delete what is too old, if it is time to.

        Raises:
            StoreError: the store forgets nothing, or is broken.
        """
        if self._keep_s is None or time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + EVERY_S
        try:
            self._store.expire(time.time() - self._keep_s)
        except StoreUnavailableError as error:
            self._due_s = time.monotonic() + RETRY_S
            _log.warning("old events not deleted yet: %s", error)
