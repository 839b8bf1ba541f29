"""Answers about strangers: all may look, operators name and merge, admins have them forgotten."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edge_reid.core.anonymous_names import STRANGER_PATTERN
from edge_reid.core.errors import GalleryError
from edge_reid.enrolment.enrolment_concerns import concerns_about
from edge_reid.enrolment.promotion import prepare_promotion, promote
from edge_reid.enrolment.same_person import Likeness, compare_strangers
from edge_reid.gallery.identity import identity_name
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.web.enrol_pages import concerns_html
from edge_reid.web.explained_routes import ExplainedRoutes
from edge_reid.web.page_entrance import refused
from edge_reid.web.page_gallery import GalleryChange, followed_source
from edge_reid.web.people_facts import person_id
from edge_reid.web.people_page_parts import PeoplePageParts
from edge_reid.web.stranger_facts import StrangerFacts, stranger_facts
from edge_reid.web.stranger_pages import (
    merge_strangers_html,
    no_strangers_html,
    stranger_html,
    strangers_html,
)

_NAME = re.compile(STRANGER_PATTERN)


class StrangerRoutes:
    """Unknown people whom the device knows again."""

    def __init__(self, parts: PeoplePageParts) -> None:
        settings = parts.settings
        self._path = settings.strangers_path
        self._are_remembered = settings.strangers is not None
        self._followed = followed_source(settings)
        self._own_gallery = settings.gallery
        self._run = parts.run
        self._entrance = parts.entrance
        self._gallery = parts.gallery
        self._pending = parts.pending

    def routes(self) -> list[Route]:
        """Of the page."""
        make = ExplainedRoutes(self._entrance)
        return [
            make.shown("viewer", "/strangers", self._all),
            make.shown("viewer", "/strangers/{name}", self._one),
            make.done("operator", "/strangers/{name}/promote", self._promote),
            make.shown("operator", "/strangers/{name}/merge/{other}", self._compare),
            make.done("operator", "/strangers/{name}/merge/{other}", self._merge),
            make.done("admin", "/strangers/{name}/forget", self._forget),
        ]

    async def _all(self, request: Request) -> Response:
        if not self._are_remembered:
            return self._entrance.html(request, no_strangers_html)
        if self._run.parts is None:
            raise refused(503)
        facts = await self._facts()
        return self._entrance.html(request, lambda frame: strangers_html(frame, facts))

    async def _one(self, request: Request) -> Response:
        parts = self._run.parts
        if parts is None:
            raise refused(503)
        threshold = parts.policies.first.threshold
        (facts,) = await self._facts(_stranger(request))
        return self._entrance.html(
            request, lambda frame: stranger_html(frame, facts, threshold, self._followed)
        )

    async def _promote(self, request: Request) -> Response:
        stranger, name = _stranger(request), identity_name(request.state.form.get("name", ""))
        concerns = await self._gallery.look(lambda store: self._concerns(store, stranger, name))

        def act(_: GalleryStore) -> GalleryChange:
            with StrangerStore.open(self._path) as strangers:
                count = promote(strangers, stranger, name, self._own_gallery)
            return GalleryChange(f"{stranger} is {name} from now on: {count} templates enrolled.")

        if concerns:
            ticket = self._pending.put(name, concerns, act)
            return self._entrance.html(
                request, lambda frame: concerns_html(frame, ticket, name, concerns)
            )
        await self._gallery.change(act)
        return RedirectResponse(f"/people/{person_id(name)}", 303)

    async def _compare(self, request: Request) -> Response:
        name, into = _stranger(request), _stranger(request, "other")
        likeness = await asyncio.to_thread(self._likeness, name, into)
        return self._entrance.html(
            request, lambda frame: merge_strangers_html(frame, name, into, likeness)
        )

    async def _merge(self, request: Request) -> Response:
        name, into = _stranger(request), _stranger(request, "other")
        await asyncio.to_thread(self._merge_now, name, into)
        return RedirectResponse(f"/strangers/{into}", 303)

    async def _forget(self, request: Request) -> Response:
        await asyncio.to_thread(self._forget_now, _stranger(request))
        return RedirectResponse("/strangers", 303)

    async def _facts(self, only: str | None = None) -> tuple[StrangerFacts, ...]:
        assert self._run.parts is not None  # noqa: S101 - asked by the callers
        index, crops = self._run.parts.policies.index, self._run.view.crops
        return await asyncio.to_thread(stranger_facts, self._path, crops, index, only)

    def _concerns(self, store: GalleryStore, stranger: str, name: str) -> tuple[str, ...]:
        embedder = self._gallery.embedder()
        with StrangerStore.open_to_read(self._path) as strangers:
            enrolment = prepare_promotion(strangers, stranger, name, embedder, store)
        return concerns_about(enrolment, store, embedder.manifest)

    def _likeness(self, name: str, into: str) -> Likeness | None:
        with StrangerStore.open_to_read(self._path) as store:
            return compare_strangers(store, name, into, self._gallery.manifest)

    def _merge_now(self, name: str, into: str) -> None:
        with StrangerStore.open(self._path) as store:
            store.merge(name, into)

    def _forget_now(self, name: str) -> None:
        with StrangerStore.open(self._path) as store:
            store.forget(name)


def _stranger(request: Request, key: str = "name") -> str:
    name: str = request.path_params[key]
    if not _NAME.fullmatch(name):
        raise GalleryError("no stranger has this address; look at the list")
    return name
