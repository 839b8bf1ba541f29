"""Who is logged in at the page, and the tokens that forms carry. All of it is in memory only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edge_reid.web.page_access import Visitor

LASTS_S = 12 * 3600.0
MOST = 256
"""Sessions at once; beyond it the oldest ends."""


@dataclass(frozen=True, slots=True)
class _Session:
    visitor: Visitor
    ends_s: float


class PageSessions:
    """By the value of a cookie, which nobody can guess.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[str, _Session] = OrderedDict()
        self._form_key = secrets.token_bytes(32)

    @staticmethod
    def new_cookie() -> str:
        """A value that no browser has had."""
        return secrets.token_urlsafe(32)

    def begin(self, visitor: Visitor) -> str:
        """Log somebody in; returns the value of their cookie, which is always another one."""
        cookie = self.new_cookie()
        self._open[cookie] = _Session(visitor, self._clock() + LASTS_S)
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return cookie

    def visitor(self, cookie: str | None) -> Visitor | None:
        """Who is logged in by this cookie; None: nobody, or not any more."""
        session = self._open.get(cookie) if cookie else None
        if session is None or session.ends_s <= self._clock():
            return None
        return session.visitor

    def end(self, cookie: str | None) -> None:
        """Log out."""
        self._open.pop(cookie or "", None)

    def form_token(self, cookie: str) -> str:
        """What a form must carry that the owner of this cookie sends: other sites cannot know
        it.
        """
        return hmac.new(self._form_key, cookie.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, cookie: str | None, token: str) -> bool:
        """Whether a form was made for the owner of this cookie."""
        return bool(cookie) and hmac.compare_digest(
            self.form_token(cookie or "").encode(), token.encode("utf-8", "replace")
        )
