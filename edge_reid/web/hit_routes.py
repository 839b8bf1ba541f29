"""An opened hit: why it was decided so, its crops, and that it was somebody else."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edge_reid.agent.corrections import PublishedName
from edge_reid.agent.wrong_names import TakenBack, WrongNames
from edge_reid.core.errors import EdgeReidError, SourceError
from edge_reid.core.foreign_text import shown
from edge_reid.web.hit_record import HitRecord
from edge_reid.web.page_entrance import PageEntrance, refused
from edge_reid.web.page_templates import why_html
from edge_reid.web.run_seen import RunSeen


class HitRoutes:
    """Makes routes.

    Args:
        run: what is shown.
        entrance: who may.
    """

    def __init__(self, run: RunSeen, entrance: PageEntrance) -> None:
        self._run = run
        self._entrance = entrance
        self._one_at_a_time = asyncio.Lock()  # each waits for a frame, in a thread that logins need

    def routes(self) -> list[Route]:
        """All that begin with `/hits`, and that all crops are forgotten."""
        seen, done = self._entrance.for_role("viewer"), self._entrance.by_form
        crop = "/hits/{number:number}/crops/{position:number}.jpg"
        denied = "/hits/{number:number}/not-this-person"
        return [
            Route("/hits/{number:number}", seen(self._why), methods=["GET"]),
            Route(crop, seen(self._crop), methods=["GET"]),
            Route(denied, done("operator", self._deny), methods=["POST"]),
            Route("/crops/forget", done("operator", self._forget_crops), methods=["POST"]),
        ]

    async def _why(self, request: Request) -> Response:
        record = self._record(request)
        if not record:
            raise refused(404)
        return self._opened(request, record)

    async def _crop(self, request: Request) -> Response:
        record, position = self._record(request), request.path_params["position"]
        crops = record.crops if record else ()
        crop = crops[position] if position < len(crops) else None
        jpeg = crop.jpeg if crop else None
        if jpeg is None and crop and crop.file and self._run.kept:
            jpeg = await asyncio.to_thread(self._run.kept.jpeg, crop.file)
        if not jpeg:
            raise refused(404)
        return Response(jpeg, media_type="image/jpeg")

    async def _deny(self, request: Request) -> Response:
        """Take back the name that the form says: the hit may have got another one meanwhile."""
        record, parts = self._record(request), self._run.parts
        if record is None or parts is None:
            raise refused(404)
        identity = request.state.form.get("identity", "")
        name = PublishedName(record.camera, record.track_id, identity)
        try:
            async with self._one_at_a_time:
                await asyncio.to_thread(_take_back, parts.wrong_names, name)
        except EdgeReidError as error:
            return self._opened(request, record, shown(str(error)), 409)
        return RedirectResponse(f"/hits/{record.number}", 303)

    async def _forget_crops(self, _: Request) -> Response:
        await asyncio.to_thread(self._run.view.forget_crops)
        return RedirectResponse("/", 303)

    def _record(self, request: Request) -> HitRecord | None:
        return self._run.view.hit(request.path_params["number"])

    def _opened(
        self, request: Request, record: HitRecord, trouble: str = "", status: int = 200
    ) -> Response:
        taken, path = self._taken_back(record), f"/hits/{record.number}"
        page = self._entrance.html
        return page(
            request, lambda frame: why_html(frame, record, taken, trouble, path=path), status
        )

    def _taken_back(self, record: HitRecord) -> tuple[TakenBack, ...]:
        done = self._run.parts.wrong_names.done if self._run.parts else ()
        track = record.camera, record.track_id
        return tuple(one for one in done if (one.name.camera, one.name.track_id) == track)


def _take_back(wrong_names: WrongNames, name: PublishedName) -> None:
    """In a thread of its own, as it waits for the next frame.

    Raises:
        EdgeReidError: it was not taken back.
    """
    try:
        wrong_names.take_back(name)
    except CancelledError as error:
        raise SourceError("the agent is about to stop; nothing was changed") from error
