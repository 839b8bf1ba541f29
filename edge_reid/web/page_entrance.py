"""The way into the page: who asks, what they may do, whose forms are taken; login and logout."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from edge_reid.core.config.web_settings import RoleName, WebSettings
from edge_reid.web.attempt_limit import AttemptLimit
from edge_reid.web.page_access import ANYBODY_HERE, PageAccess, Visitor
from edge_reid.web.page_forms import BadFormError, form_of
from edge_reid.web.page_guard import is_from_elsewhere
from edge_reid.web.page_markup import PageFrame
from edge_reid.web.page_sessions import PageSessions
from edge_reid.web.page_templates import login_html, refusal_html

_COOKIE = "edge_reid_session"
_REFUSALS = {
    401: "expected a login; open /login",
    403: "not allowed",
    404: "there is no such thing here, or not any more",
    405: "this is no page by itself: a form leads here",
    503: "nothing to show now, or too many look at once; try again",
}

Handler = Callable[[Request], Awaitable[Response]]
ReadForm = Callable[[Request], Awaitable[dict[str, str]]]


class PageEntrance:
    """Every request that is not for a login or a static file goes through here.

    Args:
        device: its name.
        web: settings of the page.

    Raises:
        ConfigError: a token or a hash is none.
    """

    def __init__(self, device: str, web: WebSettings) -> None:
        self._device = device
        self._access = PageAccess(web)
        self._sessions = PageSessions()
        self._attempts = AttemptLimit()
        self._is_tls = web.cert_file is not None or web.behind_proxy

    def routes(self) -> list[Route]:
        """Login and logout."""
        return [
            Route("/login", self._login_form, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self.by_form("viewer", self._log_out), methods=["POST"]),
        ]

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None: nobody who has logged in."""
        if self._access.is_open:
            return ANYBODY_HERE
        return self._sessions.visitor(request.cookies.get(_COOKIE))

    def for_role(self, role: RoleName) -> Callable[[Handler], Handler]:
        """Have a handler answer only those of this role; others are led to the login."""

        def guarded(handler: Handler) -> Handler:
            async def answer(request: Request) -> Response:
                visitor = self.visitor(request)
                if visitor is None:
                    if not _reads_pages(request):
                        raise refused(401)
                    return RedirectResponse("/login", 303)
                if not visitor.may(role):
                    raise refused(403)
                return await handler(request)

            return answer

        return guarded

    def by_form(self, role: RoleName, handler: Handler, read: ReadForm = form_of) -> Handler:
        """The same, of what changes something: only by a form of this page.

        `request.state.form` has its fields then.

        Args:
            role: who may.
            handler: what is done.
            read: the fields of the form; raises BadFormError.
        """

        async def answer(request: Request) -> Response:
            if not await self._is_our_form(request, read):
                raise refused(403)
            return await handler(request)

        return self.for_role(role)(answer)

    async def refusal(self, request: Request, error: Exception) -> Response:
        """What is answered to `HTTPException`: a page for a person, a line for a program."""
        refusal = error if isinstance(error, HTTPException) else HTTPException(500)
        status = refusal.status_code
        words = _REFUSALS.get(status, "this cannot be done here")
        if not _reads_pages(request):
            return PlainTextResponse(words, status, refusal.headers)
        answer = self.html(request, lambda frame: refusal_html(frame, words), status)
        answer.headers.update(refusal.headers or {})
        return answer

    def html(
        self, request: Request, page: Callable[[PageFrame], str], status: int = 200
    ) -> Response:
        """A page with its form token, and the cookie that goes with it."""
        known = request.cookies.get(_COOKIE)
        cookie = known or self._sessions.new_cookie()
        token = self._sessions.form_token(cookie)
        answer = HTMLResponse(page(PageFrame(self._device, self.visitor(request), token)), status)
        if not known:
            self._set_cookie(answer, cookie)
        return answer

    async def _is_our_form(self, request: Request, read: ReadForm) -> bool:
        if is_from_elsewhere(request.headers):
            return False
        try:
            request.state.form = form = await read(request)
        except BadFormError:
            return False
        cookie = request.cookies.get(_COOKIE)
        return self._sessions.is_form_token(cookie, form.get("form_token", ""))

    def _set_cookie(self, answer: Response, cookie: str) -> None:
        answer.set_cookie(_COOKIE, cookie, httponly=True, samesite="strict", secure=self._is_tls)

    async def _login_form(self, request: Request) -> Response:
        if self.visitor(request):
            return RedirectResponse("/", 303)
        return self.html(request, login_html)

    async def _log_in(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        is_ours = await self._is_our_form(request, form_of)
        # asked after the form has come: forms that come slowly would all be let in at once
        if wait_s := self._attempts.wait_s(address):
            words = f"Too many attempts; try again in {math.ceil(wait_s)} s."
            answer = self._login_again(request, words, 429)
            answer.headers["retry-after"] = str(math.ceil(wait_s))
            return answer
        if not is_ours:
            return self._login_again(
                request, "This form was not from here or too old; try again.", 403
            )
        form = request.state.form
        name, secret = form.get("name", "").strip(), form.get("secret", "")
        attempt = self._attempts.begin(address, name)
        visitor = await asyncio.to_thread(self._access.identify, name, secret)
        if visitor is None:
            return self._login_again(request, "Wrong name or password.", 401)
        self._attempts.succeeded(attempt)
        self._sessions.end(request.cookies.get(_COOKIE))
        answer = RedirectResponse("/", 303)
        self._set_cookie(answer, self._sessions.begin(visitor))
        return answer

    def _login_again(self, request: Request, words: str, status: int) -> Response:
        return self.html(request, lambda frame: login_html(frame, words), status)

    async def _log_out(self, request: Request) -> Response:
        self._sessions.end(request.cookies.get(_COOKIE))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(_COOKIE, httponly=True, samesite="strict", secure=self._is_tls)
        return answer


def refused(status: int) -> HTTPException:
    """What a handler raises that has no answer; `PageEntrance.refusal` says why."""
    return HTTPException(status)


def _reads_pages(request: Request) -> bool:
    """Whether a person asks with a browser, and not a program, a script or a picture's place."""
    return "text/html" in request.headers.get("accept", "")
