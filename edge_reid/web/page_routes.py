"""What the page answers to what."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.camera_areas import CameraAreas
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.web_settings import WebSettings
from edge_reid.web.enrol_routes import EnrolRoutes
from edge_reid.web.hit_routes import HitRoutes
from edge_reid.web.kept_routes import KeptRoutes
from edge_reid.web.live_pictures import LivePictures
from edge_reid.web.open_streams import OpenStreams, StreamAnswer
from edge_reid.web.page_entrance import PageEntrance, refused
from edge_reid.web.page_gallery import PageGallery
from edge_reid.web.page_guard import LOOPBACK_NAMES, PageGuard
from edge_reid.web.page_markup import STATIC, static_file
from edge_reid.web.page_status import camera_lines, device_line, hit_lines
from edge_reid.web.page_templates import areas_html, live_html
from edge_reid.web.pending_enrolments import PendingEnrolments
from edge_reid.web.people_page_parts import PeoplePageParts
from edge_reid.web.people_routes import PeopleRoutes
from edge_reid.web.run_seen import RunSeen
from edge_reid.web.stranger_routes import StrangerRoutes
from edge_reid.web.url_numbers import know_numbers

_EVENTS_S = 1.0
"""Between two events that say how it goes."""
_PAUSE_S = 0.5
"""Within which a stream notices that its session or the run is over."""
_BOUNDARY = "frame"


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
        self._entrance = PageEntrance(settings.agent, web)
        self._names = LOOPBACK_NAMES if web.is_loopback and not web.behind_proxy else None
        self._streams = OpenStreams()
        areas = {name: CameraAreas.of(camera) for name, camera in settings.cameras.items()}
        self.pictures = LivePictures(run.view, areas)
        self._gallery = PageGallery(settings)

    def app(self) -> ASGIApp:
        """What the server runs."""
        know_numbers()
        entrance = self._entrance
        people = PeoplePageParts(
            self._settings, self._run, entrance, self._gallery, PendingEnrolments()
        )
        seen, seen_by_admin = entrance.for_role("viewer"), entrance.for_role("admin")
        routes = [
            *entrance.routes(),
            *PeopleRoutes(people).routes(),
            *EnrolRoutes(people).routes(),
            *StrangerRoutes(people).routes(),
            Route("/", seen(self._live), methods=["GET"]),
            Route("/static/{name}", self._static, methods=["GET"]),
            Route("/events", seen(self._events), methods=["GET"]),
            Route("/cameras/{camera}/live.mjpeg", seen(self._mjpeg), methods=["GET"]),
            Route("/cameras/{camera}/frame.jpg", seen(self._still), methods=["GET"]),
            Route("/cameras/{camera}/areas", seen_by_admin(self._areas), methods=["GET"]),
            *HitRoutes(self._run, entrance).routes(),
            *KeptRoutes(self._run, entrance).routes(),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: entrance.refusal})
        return PageGuard(app, self._names)

    def close(self) -> None:
        """End the threads."""
        self.pictures.close()
        self._gallery.close()

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise refused(404)
        return Response(static_file(name), media_type=STATIC[name])

    async def _live(self, request: Request) -> Response:
        cameras = tuple(self._settings.cameras)
        keeps_hits = self._run.kept is not None
        return self._entrance.html(
            request, lambda frame: live_html(frame, cameras, keeps_hits=keeps_hits)
        )

    async def _areas(self, request: Request) -> Response:
        camera = request.path_params["camera"]
        if camera not in self._settings.cameras:
            raise refused(404)
        is_short = self._settings.source is not None
        return self._entrance.html(
            request, lambda frame: areas_html(frame, camera, is_short=is_short)
        )

    async def _still(self, request: Request) -> Response:
        camera = request.path_params["camera"]
        if camera not in self._settings.cameras:
            raise refused(404)
        picture = await self.pictures.newest(camera, _PAUSE_S)
        if not picture:
            raise refused(503)
        return Response(picture.jpeg, media_type="image/jpeg")

    async def _mjpeg(self, request: Request) -> Response:
        camera = request.path_params["camera"]
        if camera not in self._settings.cameras:
            raise refused(404)
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
        shown: object = None
        while self._goes_on(request):
            view, parts = self._run.view, self._run.parts
            if parts:
                yield _event("status", self._status(parts))
            taken = parts.wrong_names.done if parts else ()
            if shown != (view.edition, taken):
                shown = view.edition, taken
                yield _event("hits", [asdict(line) for line in hit_lines(view.hits, taken)])
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
        return not self._run.is_over and self._entrance.visitor(request) is not None


def _event(kind: str, value: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()
