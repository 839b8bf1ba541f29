"""What holds for every request: by which name, by which method, and with which headers it is
answered.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset({"GET", "HEAD", "POST"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""By which a loopback address may be asked for."""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",  # with none, browsers send no origin with a form
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class PageGuard:
    """Stands before the page.

    Args:
        app: the page.
        names: by which hosts it may be asked for; None: by any. A page without a login must ask:
            another site may have its own name lead here (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] | None) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        app = self._refusal(scope) or self._app
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        host = Headers(scope=scope).get("host", "")
        if self._names is not None and _without_port(host) not in self._names:
            return PlainTextResponse(
                "expected a request for localhost, got one by another name; open the page as "
                "http://127.0.0.1 with its port",
                421,
            )
        if scope["method"] not in _METHODS:
            return PlainTextResponse("expected GET or POST", 405)
        return None


def is_from_elsewhere(headers: Headers) -> bool:
    """Whether a form was sent by the page of another site, as browsers say."""
    origin, host = headers.get("origin"), headers.get("host", "")
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    return origin is not None and origin.partition("://")[2] != host


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()
