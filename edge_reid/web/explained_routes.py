"""Routes whose errors are told on a page, in the words of the verbs."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_reid.core.config.web_settings import RoleName
from edge_reid.core.errors import EdgeReidError
from edge_reid.core.foreign_text import shown
from edge_reid.web.page_entrance import Handler, PageEntrance, ReadForm
from edge_reid.web.page_forms import form_of
from edge_reid.web.page_templates import trouble_html

_log = logging.getLogger(__name__)


class ExplainedRoutes:
    """Makes routes.

    Args:
        entrance: who may.
    """

    def __init__(self, entrance: PageEntrance) -> None:
        self._entrance = entrance

    def shown(self, role: RoleName, path: str, handler: Handler) -> Route:
        """A page for those of this role."""
        answer = self._entrance.for_role(role)(self._explained(handler))
        return Route(path, answer, methods=["GET"])

    def done(self, role: RoleName, path: str, handler: Handler, read: ReadForm = form_of) -> Route:
        """What a form of this page does for those of this role; who did it is logged."""
        answer = self._entrance.by_form(role, self._explained(self._logged(handler)), read)
        return Route(path, answer, methods=["POST"])

    def _explained(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except EdgeReidError as error:
                words = shown(str(error))
            return self._entrance.html(request, lambda frame: trouble_html(frame, words), 409)

        return answer

    def _logged(self, handler: Handler) -> Handler:
        """Say by whom the page was used, and for what; names of people are in no log."""

        async def answer(request: Request) -> Response:
            visitor = self._entrance.visitor(request)
            response = await handler(request)
            _log.info("page: %s: %s", visitor.name if visitor else "?", request.url.path)
            return response

        return answer
