"""HTML of the page's templates. Everything that is filled in is escaped here, and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from string import Template

from edge_reid.core.config.web_settings import RoleName
from edge_reid.web.page_access import ANYBODY_HERE, Visitor

STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "areas.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Files that browsers ask for, and their types."""


class Markup(str):
    """HTML that was made here of escaped parts."""

    __slots__ = ()


def static_file(name: str) -> bytes:
    """The bytes of a file of `STATIC`, or of a template."""
    return (files("edge_reid.web") / "static" / name).read_bytes()


def filled(template: str, **values: str) -> Markup:
    """A template with these values, escaped but for those that are `Markup`."""
    escaped = {
        key: value if isinstance(value, Markup) else html.escape(value)
        for key, value in values.items()
    }
    return Markup(Template(static_file(template).decode()).substitute(escaped))


def joined(parts: Iterable[Markup]) -> Markup:
    """Parts one after the other."""
    return Markup("".join(parts))


@dataclass(frozen=True, slots=True)
class PageFrame:
    """What stands around every page of the device."""

    device: str
    visitor: Visitor | None
    """Who looks; None: nobody has logged in."""
    token: str
    """Of the forms."""

    def may(self, role: RoleName) -> bool:
        """Whether whoever looks may do what this role may."""
        return self.visitor is not None and self.visitor.may(role)

    def form(self, template: str, *, role: RoleName, **values: str) -> Markup:
        """A form with its token, for those of this role; nothing for others."""
        return filled(template, token=self.token, **values) if self.may(role) else Markup()

    def html(self, title: str, body: Markup) -> str:
        """A whole page."""
        leave, rooms = Markup(), filled("rooms.html") if self.visitor else Markup()
        if self.visitor and self.visitor is not ANYBODY_HERE:
            name, role = self.visitor.name, self.visitor.role
            leave = filled("leave.html", name=name, role=role, token=self.token)
        return filled(
            "page.html",
            title=f"{self.device}: {title}",
            device=self.device,
            body=body,
            rooms=rooms,
            leave=leave,
        )


def number_text(value: float | None) -> str:
    """A similarity as the page shows it."""
    return "none" if value is None else f"{value:.3f}"


def clock_time(utc_s: float) -> str:
    """A moment as the page shows it."""
    return f"{datetime.fromtimestamp(utc_s, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
