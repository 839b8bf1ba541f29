"""The HTML of strangers: all, one, and two to be merged."""

from __future__ import annotations

from collections.abc import Sequence

from edge_reid.core.types import Candidate
from edge_reid.enrolment.same_person import Likeness
from edge_reid.web.page_markup import Markup, PageFrame, clock_time, filled, joined, number_text
from edge_reid.web.page_templates import candidate_html
from edge_reid.web.stranger_facts import StrangerFacts

MOST_STRANGERS = 100
"""In the list, those seen last."""
_MOST_CROPS = 6


def strangers_html(frame: PageFrame, strangers: Sequence[StrangerFacts]) -> str:
    """All whom the device remembers."""
    body = filled(
        "strangers.html",
        count=f"{len(strangers)} remembered"
        + (f", the last {MOST_STRANGERS} shown" if len(strangers) > MOST_STRANGERS else ""),
        strangers=joined(map(_line, strangers[:MOST_STRANGERS])) or filled("no_strangers.html"),
    )
    return frame.html("strangers", body)


def no_strangers_html(frame: PageFrame) -> str:
    """Nobody is to be remembered here."""
    return frame.html("strangers", filled("strangers_off.html"))


def stranger_html(
    frame: PageFrame, facts: StrangerFacts, threshold: float, followed: str | None
) -> str:
    """One stranger.

    Args:
        frame: of the page.
        facts: of the stranger.
        threshold: from which on somebody enrolled is named.
        followed: where the gallery comes from; None: it is the device's own.
    """
    promote = (
        filled("followed_stranger.html", name=facts.name, source=followed)
        if followed
        else frame.form("promote.html", role="operator", name=facts.name)
    )
    body = filled(
        "stranger.html",
        name=facts.name,
        facts=_facts_text(facts),
        until=clock_time(facts.forgotten_utc_s),
        crops=_crops(facts),
        promote=promote,
        enrolled=joined(candidate_html(each, threshold) for each in facts.alike_enrolled)
        or filled("nobody.html"),
        others=joined(_other(frame, facts.name, each) for each in facts.alike)
        or filled("no_strangers.html"),
        forget=frame.form("forget_stranger.html", role="admin", name=facts.name),
    )
    return frame.html(facts.name, body)


def merge_strangers_html(frame: PageFrame, name: str, into: str, likeness: Likeness | None) -> str:
    """Two strangers, how alike they are, and whether to make them one."""
    body = filled(
        "merge_strangers.html",
        token=frame.token,
        name=name,
        into=into,
        words=likeness.message if likeness else "Nothing of the two can be compared.",
        kind="trouble" if likeness is None or likeness.is_of_two else "known",
    )
    return frame.html(f"merge {name}", body)


def _line(facts: StrangerFacts) -> Markup:
    return filled(
        "stranger_line.html",
        name=facts.name,
        facts=_facts_text(facts),
        crop=_crop(facts.crops[0]) if facts.crops else filled("crop_gone.html"),
    )


def _facts_text(facts: StrangerFacts) -> str:
    visits = f"{facts.times_seen} visit{'' if facts.times_seen == 1 else 's'}"
    return (
        f"{visits}, first {clock_time(facts.first_seen_utc_s)}, last "
        f"{clock_time(facts.last_seen_utc_s)} at {facts.camera}"
    )


def _crops(facts: StrangerFacts) -> Markup:
    return joined(map(_crop, facts.crops[:_MOST_CROPS])) or filled("crop_gone.html")


def _crop(number: int) -> Markup:
    return filled("stranger_crop.html", number=str(number))


def _other(frame: PageFrame, name: str, candidate: Candidate) -> Markup:
    return filled(
        "stranger_other.html",
        other=candidate.identity,
        similarity=number_text(candidate.similarity),
        merge=filled("merge_strangers_link.html", name=name, other=candidate.identity)
        if frame.may("operator")
        else Markup(),
    )
