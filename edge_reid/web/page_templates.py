"""The page's HTML. Everything that is filled in is escaped here, and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.resources import files
from string import Template

from edge_reid.core.types import Candidate, Known
from edge_reid.web.hit_record import HitCrop, HitRecord
from edge_reid.web.page_access import ANYBODY_HERE, Visitor

STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "areas.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Files that browsers ask for, and their types."""


def static_file(name: str) -> bytes:
    """The bytes of a file of `STATIC`, or of a template."""
    return (files("edge_reid.web") / "static" / name).read_bytes()


def live_html(device: str, cameras: Sequence[str], visitor: Visitor, token: str) -> str:
    """The live page.

    Args:
        device: its name.
        cameras: their names, in order.
        visitor: who looks.
        token: of the forms.
    """
    tiles = "".join(_tile(camera, visitor) for camera in cameras)
    forget = _filled("forget.html", token=token) if visitor.may("operator") else ""
    body = _filled("live.html", tiles=_Markup(tiles), forget=_Markup(forget))
    return _page(f"{device}: live", device, body, visitor, token)


def areas_html(device: str, camera: str, visitor: Visitor, token: str) -> str:
    """Where zones and masks of a camera are drawn, to be copied into the configuration."""
    body = _filled("areas.html", camera=camera)
    return _page(f"{device}: zones of {camera}", device, body, visitor, token)


def login_html(device: str, token: str, mistake: str = "") -> str:
    """The login; `mistake`, if it did not go well."""
    said = _filled("mistake.html", words=mistake) if mistake else ""
    body = _filled("login.html", token=token, mistake=_Markup(said))
    return _page(f"{device}: log in", device, body, None, token)


def why_html(device: str, record: HitRecord, visitor: Visitor, token: str) -> str:
    """A hit, opened: its crops, whom they are like, and what was enough."""
    decision = record.decision
    is_known = isinstance(decision, Known)
    name = decision.identity if isinstance(decision, Known) else "unknown"
    crops = "".join(_crop(record, number, crop) for number, crop in enumerate(record.crops))
    rows = "".join(_candidate(candidate, decision.threshold) for candidate in record.nearest)
    body = _filled(
        "why.html",
        name=name,
        kind="known" if is_known else "unknown",
        camera=", ".join((record.camera, *record.zones)),
        at=_clock_time(record.captured_utc_s),
        similarity=_number(decision.similarity),
        threshold=_number(decision.threshold),
        verdict=_verdict(record),
        source=record.threshold_source,
        margin=_margin(record),
        used=str(decision.crops),
        gallery=str(record.gallery_version),
        model=record.model_id,
        crops=_Markup(crops or _filled("no_crops.html")),
        nearest=_Markup(rows or _filled("nobody.html")),
    )
    return _page(f"{device}: why {name}", device, body, visitor, token)


class _Markup(str):
    """HTML that was made here of escaped parts."""

    __slots__ = ()


def _filled(template: str, **values: str) -> str:
    escaped = {
        key: value if isinstance(value, _Markup) else html.escape(value)
        for key, value in values.items()
    }
    return Template(static_file(template).decode()).substitute(escaped)


def _page(title: str, device: str, body: str, visitor: Visitor | None, token: str) -> str:
    leave = (
        _filled("leave.html", name=visitor.name, role=visitor.role, token=token)
        if visitor and visitor is not ANYBODY_HERE
        else ""
    )
    return _filled(
        "page.html", title=title, device=device, body=_Markup(body), leave=_Markup(leave)
    )


def _tile(camera: str, visitor: Visitor) -> str:
    areas = _filled("areas_link.html", camera=camera) if visitor.may("admin") else ""
    return _filled("tile.html", camera=camera, areas=_Markup(areas))


def _crop(record: HitRecord, position: int, crop: HitCrop) -> str:
    nearest = f"{crop.nearest.identity} {crop.nearest.similarity:.3f}" if crop.nearest else "nobody"
    picture = (
        _filled("crop_picture.html", number=str(record.number), position=str(position))
        if crop.jpeg
        else _filled("crop_gone.html")
    )
    return _filled(
        "crop.html",
        picture=_Markup(picture),
        quality=f"{crop.quality:.2f}",
        nearest=nearest,
        shown="shown with the hit" if crop.is_shown else "",
    )


def _candidate(candidate: Candidate, threshold: float) -> str:
    is_enough = candidate.similarity >= threshold
    return _filled(
        "candidate.html",
        name=candidate.identity,
        similarity=_number(candidate.similarity),
        level=_percent(candidate.similarity),
        threshold=_percent(threshold),
        verdict="at or above the threshold" if is_enough else "below the threshold",
    )


def _verdict(record: HitRecord) -> str:
    decision = record.decision
    if isinstance(decision, Known):
        return "The similarity is at or above the threshold, and nobody else is nearly as alike."
    if decision.similarity is None:
        return "Nobody is enrolled."
    return "The most alike person enrolled is below the threshold, so nobody is named."


def _margin(record: HitRecord) -> str:
    decision, least = record.decision, _number(record.min_margin)
    if not isinstance(decision, Known):
        return f"not asked of unknown people; a name needs {least}"
    if decision.margin is None:
        return "none, as nobody else is enrolled"
    return f"{_number(decision.margin)} over the next person; at least {least} is needed"


def _percent(similarity: float) -> str:
    return f"{100 * min(1.0, max(0.0, similarity)):.1f}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _clock_time(utc_s: float) -> str:
    return f"{datetime.fromtimestamp(utc_s, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
