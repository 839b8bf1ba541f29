"""Enrolments of which the doctor had something to say: kept in memory until somebody decides."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.store import GalleryStore
from edge_reid.web.page_gallery import GalleryChange

KEPT_S = 300.0
MOST = 16
"""At once; beyond it the oldest is forgotten. Each is some vectors, and no picture."""


@dataclass(frozen=True, slots=True, eq=False)
class PendingEnrolment:
    """What is about to be stored."""

    name: str
    concerns: tuple[str, ...]
    store: Callable[[GalleryStore], GalleryChange]
    since_s: float
    """Monotonic."""


class PendingEnrolments:
    """By tickets that nobody can guess; of the event loop.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pending: OrderedDict[str, PendingEnrolment] = OrderedDict()

    def put(
        self, name: str, concerns: tuple[str, ...], store: Callable[[GalleryStore], GalleryChange]
    ) -> str:
        """Keep one for a while; returns its ticket."""
        self._forget_old()
        ticket = secrets.token_urlsafe(16)
        self._pending[ticket] = PendingEnrolment(name, concerns, store, self._clock())
        while len(self._pending) > MOST:
            self._pending.popitem(last=False)
        return ticket

    def take(self, ticket: str) -> PendingEnrolment:
        """One that was decided on; raises GalleryError when it is not here any more."""
        self._forget_old()
        pending = self._pending.pop(ticket, None)
        if pending is None:
            raise GalleryError(
                f"enrolment: expected one of the last {KEPT_S / 60:.0f} minutes, got an older one; "
                "enrol the person anew"
            )
        return pending

    def _forget_old(self) -> None:
        oldest_s = self._clock() - KEPT_S
        for ticket, pending in list(self._pending.items()):
            if pending.since_s <= oldest_s:
                del self._pending[ticket]
