"""Forgets strangers when a commander of the site says so, once for each order, and remembers it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge_reid.signing.certified_envelope import CertificateAuthority
from edge_reid.strangers.heard_store import HeardStrangerStore
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.wire.payloads import utc_s
from edge_reid.wire.shared_strangers import CLOCKS_S, StrangerErasure, verified_erasures

_log = logging.getLogger(__name__)


class StrangerEraser:
    """Carries out the orders that stand at the broker. Of one thread.

    An order stays until it is done: what fails is tried again at the next `carry_out`.
    """

    def __init__(
        self,
        authority: CertificateAuthority,
        site: str,
        own: StrangerStore,
        heard: HeardStrangerStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._authority = authority
        self._site = site
        self._own = own
        self._heard = heard
        self._clock = clock
        self._standing: tuple[StrangerErasure, ...] = ()
        self._done = heard.erasures()

    @property
    def done(self) -> tuple[str, ...]:
        """Ids of the orders that stand and are done."""
        return tuple(order.id for order in self._standing if order.id in self._done)

    @property
    def holds_back(self) -> bool:
        """Whether nothing is to be told yet: what is written now would pass for older than an
        erasure of everybody.
        """
        until_utc_s = self._heard.erased_through_utc_s
        return until_utc_s is not None and self._clock() <= until_utc_s

    def hear(self, body: bytes) -> None:
        """The orders that stand now; those that are forged are left alone.

        Raises:
            EnvelopeError: they are forged.
        """
        self._standing = self._orders(body) if body else ()

    def carry_out(self) -> bool:
        """Do what is not done yet; returns whether there was anything.

        Raises:
            GalleryError: it cannot be done now; it stays to be done.
        """
        due = [order for order in self._standing if order.id not in self._done]
        for order in due:
            self._erase(order)
            self._heard.note_erasure(order.id, self._clock())
            self._done = self._heard.erasures()
        return bool(due)

    def _orders(self, body: bytes) -> tuple[StrangerErasure, ...]:
        orders = verified_erasures(body, self._authority, site=self._site, now_utc_s=self._clock())
        return orders.erasures

    def _erase(self, order: StrangerErasure) -> None:
        now_utc_s = self._clock()
        if order.strangers is None:
            issued_utc_s = min(utc_s(order.issued_at), now_utc_s)
            self._own.forget_all()
            self._heard.erase(None, issued_utc_s + CLOCKS_S)
        else:  # ours first: the other file knows which names are of one person
            names = self._heard.present_names(order.strangers)
            self._own.forget_all(names)
            self._heard.erase(names, now_utc_s)
        _log.info("strangers: erasure %s is done in the files of this device", order.id)
