"""What the page answers to what."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route
from starlette.types import ASGIApp

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.camera_areas import CameraAreas
from edge_reid.core.config import AgentSettings, RoleName, WebSettings
from edge_reid.web.attempt_limit import AttemptLimit
from edge_reid.web.live_pictures import LivePictures
from edge_reid.web.live_view import LiveView
from edge_reid.web.open_streams import OpenStreams, StreamAnswer
from edge_reid.web.page_access import ANYBODY_HERE, PageAccess, Visitor
from edge_reid.web.page_forms import BadFormError, form_of
from edge_reid.web.page_guard import LOOPBACK_NAMES, PageGuard, is_from_elsewhere
from edge_reid.web.page_sessions import PageSessions
from edge_reid.web.page_status import camera_lines, device_line, hit_lines
from edge_reid.web.page_templates import (
    STATIC,
    areas_html,
    live_html,
    login_html,
    static_file,
    why_html,
)

_EVENTS_S = 1.0
"""Between two events that say how it goes."""
_PAUSE_S = 0.5
"""Within which a stream notices that its session or the run is over."""
_BOUNDARY = "frame"
_COOKIE = "edge_reid_session"

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True, eq=False)
class RunSeen:
    """What the page knows of the run; one thread writes it, the page's reads."""

    view: LiveView
    parts: AgentParts | None = None
    """None until the agent is built."""
    is_over: bool = False


class PageRoutes:
    """The page, as an ASGI application.

    Args:
        settings: of the agent.
        web: of the page.
        run: what is shown.

    Raises:
        ConfigError: a token or a hash is none.
    """

    def __init__(self, settings: AgentSettings, web: WebSettings, run: RunSeen) -> None:
        self._settings = settings
        self._run = run
        self._access = PageAccess(web)
        self._sessions = PageSessions()
        self._attempts = AttemptLimit()
        self._is_tls = web.cert_file is not None or web.behind_proxy
        self._names = LOOPBACK_NAMES if web.is_loopback and not web.behind_proxy else None
        self._streams = OpenStreams()
        areas = {name: CameraAreas.of(camera) for name, camera in settings.cameras.items()}
        self.pictures = LivePictures(run.view, areas)

    def app(self) -> ASGIApp:
        """What the server runs."""
        seen, done = self._for("viewer"), self._by_form
        routes = [
            Route("/", seen(self._live), methods=["GET"]),
            Route("/login", self._login_form, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", done("viewer", self._log_out), methods=["POST"]),
            Route("/static/{name}", self._static, methods=["GET"]),
            Route("/events", seen(self._events), methods=["GET"]),
            Route("/cameras/{camera}/live.mjpeg", seen(self._mjpeg), methods=["GET"]),
            Route("/cameras/{camera}/frame.jpg", seen(self._still), methods=["GET"]),
            Route("/cameras/{camera}/areas", self._for("admin")(self._areas), methods=["GET"]),
            Route("/hits/{number:int}", seen(self._why), methods=["GET"]),
            Route("/hits/{number:int}/crops/{position:int}.jpg", seen(self._crop)),
            Route("/crops/forget", done("operator", self._forget), methods=["POST"]),
        ]
        return PageGuard(Starlette(routes=routes), self._names)

    def _visitor(self, request: Request) -> Visitor | None:
        if self._access.is_open:
            return ANYBODY_HERE
        return self._sessions.visitor(request.cookies.get(_COOKIE))

    def _for(self, role: RoleName) -> Callable[[Handler], Handler]:
        """Have a handler answer only those of this role; others are led to the login."""

        def guarded(handler: Handler) -> Handler:
            async def answer(request: Request) -> Response:
                visitor = self._visitor(request)
                if visitor is None:
                    is_page = "text/html" in request.headers.get("accept", "")
                    return RedirectResponse("/login", 303) if is_page else _refused(401)
                return await handler(request) if visitor.may(role) else _refused(403)

            return answer

        return guarded

    def _by_form(self, role: RoleName, handler: Handler) -> Handler:
        """The same, of what changes something: only by a form of this page."""

        async def answer(request: Request) -> Response:
            if not await self._is_our_form(request):
                return _refused(403)
            return await handler(request)

        return self._for(role)(answer)

    async def _is_our_form(self, request: Request) -> bool:
        if is_from_elsewhere(request.headers):
            return False
        try:
            request.state.form = form = await form_of(request)
        except BadFormError:
            return False
        cookie = request.cookies.get(_COOKIE)
        return self._sessions.is_form_token(cookie, form.get("form_token", ""))

    def _html(self, request: Request, page: Callable[[str], str], status: int = 200) -> Response:
        """A page with its form token, and the cookie that goes with it."""
        known = request.cookies.get(_COOKIE)
        cookie = known or self._sessions.new_cookie()
        answer = HTMLResponse(page(self._sessions.form_token(cookie)), status)
        if not known:
            self._set_cookie(answer, cookie)
        return answer

    def _set_cookie(self, answer: Response, cookie: str) -> None:
        answer.set_cookie(_COOKIE, cookie, httponly=True, samesite="strict", secure=self._is_tls)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return _refused(404)
        return Response(static_file(name), media_type=STATIC[name])

    async def _login_form(self, request: Request) -> Response:
        if self._visitor(request):
            return RedirectResponse("/", 303)
        return self._html(request, lambda token: login_html(self._settings.agent, token))

    async def _log_in(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        if wait_s := self._attempts.wait_s(address):
            words = f"Too many attempts; try again in {math.ceil(wait_s)} s."
            answer = self._html(request, lambda token: self._login_again(token, words), 429)
            answer.headers["retry-after"] = str(math.ceil(wait_s))
            return answer
        if not await self._is_our_form(request):
            words = "This form was not from here or too old; try again."
            return self._html(request, lambda token: self._login_again(token, words), 403)
        self._attempts.begin(address)
        form = request.state.form
        name, secret = form.get("name", "").strip(), form.get("secret", "")
        visitor = await asyncio.to_thread(self._access.identify, name, secret)
        if visitor is None:
            words = "Wrong name or password."
            return self._html(request, lambda token: self._login_again(token, words), 401)
        self._attempts.succeeded(address)
        self._sessions.end(request.cookies.get(_COOKIE))
        answer = RedirectResponse("/", 303)
        self._set_cookie(answer, self._sessions.begin(visitor))
        return answer

    def _login_again(self, token: str, words: str) -> str:
        return login_html(self._settings.agent, token, words)

    async def _log_out(self, request: Request) -> Response:
        self._sessions.end(request.cookies.get(_COOKIE))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(_COOKIE, httponly=True, samesite="strict", secure=self._is_tls)
        return answer

    async def _live(self, request: Request) -> Response:
        visitor, settings = self._visitor(request) or ANYBODY_HERE, self._settings
        cameras = tuple(settings.cameras)
        return self._html(request, lambda token: live_html(settings.agent, cameras, visitor, token))

    async def _why(self, request: Request) -> Response:
        record = self._run.view.hit(request.path_params["number"])
        if record is None:
            return _refused(404)
        visitor, device = self._visitor(request) or ANYBODY_HERE, self._settings.agent
        return self._html(request, lambda token: why_html(device, record, visitor, token))

    async def _areas(self, request: Request) -> Response:
        camera = request.path_params["camera"]
        if camera not in self._settings.cameras:
            return _refused(404)
        visitor, device = self._visitor(request) or ANYBODY_HERE, self._settings.agent
        return self._html(request, lambda token: areas_html(device, camera, visitor, token))

    async def _crop(self, request: Request) -> Response:
        record, position = (
            self._run.view.hit(request.path_params["number"]),
            request.path_params["position"],
        )
        crops = record.crops if record else ()
        jpeg = crops[position].jpeg if position < len(crops) else None
        return Response(jpeg, media_type="image/jpeg") if jpeg else _refused(404)

    async def _forget(self, _: Request) -> Response:
        self._run.view.forget_crops()
        return RedirectResponse("/", 303)

    async def _still(self, request: Request) -> Response:
        camera = request.path_params["camera"]
        if camera not in self._settings.cameras:
            return _refused(404)
        picture = await self.pictures.newest(camera, _PAUSE_S)
        return Response(picture.jpeg, media_type="image/jpeg") if picture else _refused(503)

    async def _mjpeg(self, request: Request) -> Response:
        camera = request.path_params["camera"]
        if camera not in self._settings.cameras:
            return _refused(404)
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return StreamAnswer(self._jpegs(request, camera), kind, self._streams)

    async def _events(self, request: Request) -> Response:
        return StreamAnswer(self._event_lines(request), "text/event-stream", self._streams)

    async def _jpegs(self, request: Request, camera: str) -> AsyncIterator[bytes]:
        async for picture in self.pictures.stream(camera, _PAUSE_S):
            if not self._goes_on(request):
                return
            if picture:
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
                yield f"--{_BOUNDARY}\r\n{head}".encode() + picture.jpeg + b"\r\n"

    async def _event_lines(self, request: Request) -> AsyncIterator[bytes]:
        shown: int | None = None
        while self._goes_on(request):
            if self._run.parts:
                yield _event("status", self._status(self._run.parts))
            view = self._run.view
            if shown != view.edition:
                shown = view.edition
                yield _event("hits", [asdict(line) for line in hit_lines(view.hits)])
            await asyncio.sleep(_EVENTS_S)

    def _status(self, parts: AgentParts) -> dict[str, object]:
        now_s = time.monotonic()
        lines = camera_lines(parts, self._run.view, now_s)
        return {
            "cameras": [asdict(line) for line in lines],
            "device": asdict(device_line(parts, Path(self._settings.gallery))),
        }

    def _goes_on(self, request: Request) -> bool:
        """Whether a stream does: the run is not over, and whoever looks is still logged in."""
        return not self._run.is_over and self._visitor(request) is not None


def _event(kind: str, value: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()


def _refused(status: int) -> Response:
    words = {
        401: "expected a login; open /login",
        403: "not allowed",
        404: "there is no such thing here",
        503: "nothing to show now, or too many look at once; try again",
    }
    return PlainTextResponse(words[status], status)
