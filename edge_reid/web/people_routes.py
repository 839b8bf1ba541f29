"""Answers about people who are enrolled: all may look, operators name, admins remove."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Known
from edge_reid.enrolment.gallery_examination import reasons_to_disable
from edge_reid.gallery.identity import identity_name
from edge_reid.gallery.store import GalleryStore
from edge_reid.web import gallery_changes
from edge_reid.web.explained_routes import ExplainedRoutes
from edge_reid.web.hit_record import HitRecord
from edge_reid.web.page_entrance import refused
from edge_reid.web.page_gallery import GalleryChange, followed_source
from edge_reid.web.people_facts import likeness_of, name_of, people_facts, person_facts, person_id
from edge_reid.web.people_page_parts import PeoplePageParts
from edge_reid.web.people_pages import (
    followed_people_html,
    merge_html,
    people_html,
    person_html,
)

_MOST_HITS = 5
_PERSON = re.compile(r"[0-9a-f]{16}")
_TEMPLATE = "/people/{person}/templates/{number:number}/"


class PeopleRoutes:
    """Who is enrolled."""

    def __init__(self, parts: PeoplePageParts) -> None:
        self._followed = followed_source(parts.settings)
        self._run = parts.run
        self._entrance = parts.entrance
        self._gallery = parts.gallery

    def routes(self) -> list[Route]:
        """Of the page."""
        make = ExplainedRoutes(self._entrance)
        return [
            make.shown("viewer", "/people", self._people),
            make.done("operator", "/people/undo", self._undo),
            make.shown("viewer", "/people/{person}", self._person),
            make.done("operator", "/people/{person}/rename", self._rename),
            make.done("operator", "/people/{person}/merge", self._choose),
            make.shown("operator", "/people/{person}/merge/{other}", self._compare),
            make.done("operator", "/people/{person}/merge/{other}", self._merge),
            make.done("admin", "/people/{person}/remove", self._remove),
            make.done("operator", f"{_TEMPLATE}disable", self._disable),
            make.done("operator", f"{_TEMPLATE}enable", self._enable),
            make.done("operator", f"{_TEMPLATE}move", self._move),
            make.done("admin", f"{_TEMPLATE}remove", self._remove_template),
        ]

    async def _people(self, request: Request) -> Response:
        parts, part = self._run.parts, request.query_params.get("part", "")[:64]
        if parts is None:
            raise refused(503)
        if source := self._followed:
            index = parts.policies.index
            return self._entrance.html(
                request, lambda frame: followed_people_html(frame, index, source)
            )
        facts = await self._gallery.look(lambda store: people_facts(store, self._gallery))
        return self._entrance.html(request, lambda frame: people_html(frame, facts, part))

    async def _person(self, request: Request) -> Response:
        parts, person = self._run.parts, _person_of(request)
        if parts is None:
            raise refused(503)
        policy = parts.policies.first
        facts = await self._gallery.look(
            lambda store: person_facts(store, self._gallery, policy.index, person)
        )
        hits = [each for each in self._run.view.hits if _is_of(each, facts.name)][:_MOST_HITS]
        return self._entrance.html(
            request, lambda frame: person_html(frame, facts, policy.threshold, hits)
        )

    async def _undo(self, request: Request) -> Response:
        number = request.state.form.get("number", "")
        await self._gallery.undo(int(number) if number.isdecimal() else 0)
        return RedirectResponse("/people", 303)

    async def _rename(self, request: Request) -> Response:
        person, new = _person_of(request), _name_in(request)

        await self._gallery.change(lambda store: self._renamed(store, name_of(store, person), new))
        return RedirectResponse(f"/people/{person_id(new)}", 303)

    def _renamed(self, store: GalleryStore, name: str, new: str) -> GalleryChange:
        """Call somebody else, in what the page keeps too; it is taken back in the same way."""
        change = gallery_changes.rename(store, name, new)
        self._run.view.rename(name, new, store.version)
        return replace(change, undo=lambda other: self._renamed(other, new, name))

    async def _choose(self, request: Request) -> Response:
        return RedirectResponse(
            f"/people/{_person_of(request)}/merge/{person_id(_name_in(request))}", 303
        )

    async def _compare(self, request: Request) -> Response:
        person, other = _person_of(request), _person_of(request, "other")
        name, into, likeness = await self._gallery.look(
            lambda store: likeness_of(store, self._gallery, person, other)
        )
        return self._entrance.html(request, lambda frame: merge_html(frame, name, into, likeness))

    async def _merge(self, request: Request) -> Response:
        person, other = _person_of(request), _person_of(request, "other")

        await self._gallery.change(
            lambda store: self._merged(store, name_of(store, person), name_of(store, other))
        )
        return RedirectResponse(f"/people/{other}", 303)

    def _merged(self, store: GalleryStore, name: str, into: str) -> GalleryChange:
        """Call somebody as another person, in what the page keeps too, and so when taken back."""
        change = gallery_changes.merge(store, name, into)
        renamed = self._run.view.rename(name, into, store.version)
        undo_in_gallery = change.undo
        if undo_in_gallery is None:
            return change

        def undo(other: GalleryStore) -> None:
            undo_in_gallery(other)
            self._run.view.take_names_back(renamed, other.version)

        return replace(change, undo=undo)

    async def _remove(self, request: Request) -> Response:
        await self._change_of(request, gallery_changes.remove)
        return RedirectResponse("/people", 303)

    async def _disable(self, request: Request) -> Response:
        visitor, number = self._entrance.visitor(request), request.path_params["number"]
        by_hand = f"disabled on the page by {visitor.name if visitor else 'somebody'}"

        def act(store: GalleryStore, name: str) -> GalleryChange:
            reasons = reasons_to_disable(self._gallery.findings(store) or ())
            return gallery_changes.disable(store, name, number, reasons.get(number, by_hand))

        await self._change_of(request, act)
        return self._back_to_person(request)

    async def _enable(self, request: Request) -> Response:
        number = request.path_params["number"]
        await self._change_of(
            request, lambda store, name: gallery_changes.enable(store, name, number)
        )
        return self._back_to_person(request)

    async def _move(self, request: Request) -> Response:
        number, into = request.path_params["number"], _name_in(request)
        await self._change_of(
            request, lambda store, name: gallery_changes.move(store, name, into, number)
        )
        return RedirectResponse(f"/people/{person_id(into)}", 303)

    async def _remove_template(self, request: Request) -> Response:
        number = request.path_params["number"]
        await self._change_of(
            request, lambda store, name: gallery_changes.remove_template(store, name, number)
        )
        return RedirectResponse("/people", 303)

    async def _change_of(
        self, request: Request, act: Callable[[GalleryStore, str], GalleryChange]
    ) -> None:
        """Change what belongs to the person of the address."""
        person = _person_of(request)
        await self._gallery.change(lambda store: act(store, name_of(store, person)))

    def _back_to_person(self, request: Request) -> Response:
        return RedirectResponse(f"/people/{_person_of(request)}", 303)


def _person_of(request: Request, key: str = "person") -> str:
    person: str = request.path_params[key]
    if not _PERSON.fullmatch(person):
        raise GalleryError("nobody has this address; look at the list")
    return person


def _name_in(request: Request) -> str:
    return identity_name(request.state.form.get("name", ""))


def _is_of(record: HitRecord, name: str) -> bool:
    return isinstance(record.decision, Known) and record.decision.identity == name
