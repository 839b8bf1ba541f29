"""Hits that are kept on disk, of this run and before."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_reid.web.hit_record import HitRecord
from edge_reid.web.kept_hits import KeptHits
from edge_reid.web.page_entrance import PageEntrance, refused
from edge_reid.web.page_templates import kept_html, why_html
from edge_reid.web.run_seen import RunSeen

PAGE = 50
"""Hits on a page."""


class KeptRoutes:
    """Makes routes.

    Args:
        run: what is shown.
        entrance: who may.
    """

    def __init__(self, run: RunSeen, entrance: PageEntrance) -> None:
        self._run = run
        self._entrance = entrance

    def routes(self) -> list[Route]:
        """All that begin with `/kept`; none where nothing is kept."""
        if self._run.kept is None:
            return []
        seen = self._entrance.for_role("viewer")
        crop = "/kept/{stem}/crops/{position:number}.jpg"
        return [
            Route("/kept", seen(self._list), methods=["GET"]),
            Route("/kept/{stem}", seen(self._why), methods=["GET"]),
            Route(crop, seen(self._crop), methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        before = request.query_params.get("before")
        hits, oldest = await asyncio.to_thread(_page_of, self._kept, before)
        return self._entrance.html(request, lambda frame: kept_html(frame, hits, oldest))

    async def _why(self, request: Request) -> Response:
        stem = request.path_params["stem"]
        record = await asyncio.to_thread(self._kept.hit, stem)
        if record is None:
            raise refused(404)
        return self._entrance.html(
            request, lambda frame: why_html(frame, record, path=f"/kept/{stem}", is_past=True)
        )

    async def _crop(self, request: Request) -> Response:
        record = await asyncio.to_thread(self._kept.hit, request.path_params["stem"])
        position = request.path_params["position"]
        crops = record.crops if record else ()
        file = crops[position].file if position < len(crops) else None
        jpeg = await asyncio.to_thread(self._kept.jpeg, file) if file else None
        if not jpeg:
            raise refused(404)
        return Response(jpeg, media_type="image/jpeg")

    @property
    def _kept(self) -> KeptHits:
        assert self._run.kept is not None, "else there are no routes"  # noqa: S101
        return self._run.kept


def _page_of(kept: KeptHits, before: str | None) -> tuple[dict[str, HitRecord], str | None]:
    """The newest hits by stem, or those kept before another one; and the stem before which there
    are more, if there are.
    """
    stems = kept.stems
    first = stems.index(before) + 1 if before in stems else 0
    page = stems[first : first + PAGE]
    hits = {stem: record for stem in page if (record := kept.hit(stem))}
    return hits, page[-1] if len(stems) > first + PAGE else None
