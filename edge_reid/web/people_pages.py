"""The HTML of People: who is enrolled, one person, two to be merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from edge_reid.core.types import Candidate
from edge_reid.enrolment.same_person import Likeness
from edge_reid.gallery.curation import DisabledTemplate
from edge_reid.gallery.findings import Finding, Kind
from edge_reid.gallery.gallery_queries import IdentitySummary
from edge_reid.matching.index import Index
from edge_reid.web.hit_record import HitRecord
from edge_reid.web.page_gallery import LastChange
from edge_reid.web.page_markup import Markup, PageFrame, clock_time, filled, joined, number_text
from edge_reid.web.page_templates import candidate_html
from edge_reid.web.people_facts import PeopleFacts, PersonFacts, TemplateFacts, person_id

MOST_PEOPLE = 200
"""In one list; others are found by a part of their name."""
MOST_FINDINGS = 40


def people_html(frame: PageFrame, facts: PeopleFacts, part: str) -> str:
    """All who are enrolled, and what the doctor finds.

    Args:
        frame: of the page.
        facts: of the gallery.
        part: of the names that are shown; empty: of all.
    """
    found = [each for each in facts.people if part.casefold() in each.identity.casefold()]
    body = filled(
        "people.html",
        change=last_change_html(frame, facts.last),
        enrol=frame.form("enrol_links.html", role="operator"),
        part=part,
        count=_found_text(len(found), len(facts.people)),
        people=joined(map(_person_line, found[:MOST_PEOPLE])) or filled("nobody.html"),
        findings=findings_html(facts.findings),
    )
    return frame.html("people", body)


def followed_people_html(frame: PageFrame, index: Index, source: str) -> str:
    """Who is enrolled in a gallery that this device only follows.

    Args:
        frame: of the page.
        index: the gallery in force.
        source: where it comes from.
    """
    people = list(zip(index.identities, index.templates_each, strict=True))
    lines = (
        filled("followed_person.html", name=name, templates=templates_text(count))
        for name, count in people[:MOST_PEOPLE]
    )
    body = filled(
        "followed_people.html",
        source=source,
        version=str(index.version),
        count=_found_text(len(people), len(people)),
        people=joined(lines) or filled("nobody.html"),
    )
    return frame.html("people", body)


def person_html(
    frame: PageFrame, facts: PersonFacts, threshold: float, hits: Sequence[HitRecord]
) -> str:
    """One person.

    Args:
        frame: of the page.
        facts: of the person.
        threshold: from which on somebody is named.
        hits: of theirs, the newest first.
    """
    person = person_id(facts.name)
    body = filled(
        "person.html",
        name=facts.name,
        change=last_change_html(frame, facts.last),
        hits=joined(map(_hit_line, hits)) or filled("no_hits.html"),
        templates=joined(_template(frame, person, each) for each in facts.templates),
        threshold=number_text(threshold),
        disabled=_disabled_list(frame, person, facts.disabled),
        alike=joined(_alike(frame, person, each, threshold) for each in facts.alike)
        or filled("nobody_else.html"),
        findings=findings_html(facts.findings),
        rename=frame.form("rename.html", role="operator", person=person, name=facts.name),
        merge=frame.form("merge_choice.html", role="operator", person=person),
        remove=frame.form("remove_person.html", role="admin", person=person, name=facts.name),
    )
    return frame.html(facts.name, body)


def merge_html(frame: PageFrame, name: str, into: str, likeness: Likeness | None) -> str:
    """Two people, how alike they are, and whether to make them one."""
    words = likeness.message if likeness else "Nothing of the two can be compared."
    body = filled(
        "merge.html",
        token=frame.token,
        name=name,
        into=into,
        person=person_id(name),
        other=person_id(into),
        words=words,
        kind="trouble" if likeness is None or likeness.is_of_two else "known",
    )
    return frame.html(f"merge {name}", body)


def last_change_html(frame: PageFrame, last: LastChange | None) -> Markup:
    """What was changed last, and the way back."""
    if last is None:
        return Markup()
    number = str(last.number)
    undo = frame.form("undo.html", role="operator", number=number) if last.undo else Markup()
    return filled("last_change.html", words=last.words, undo=undo)


def findings_html(findings: Sequence[Finding] | None) -> Markup:
    """What the doctor finds."""
    if findings is None:
        return filled("not_examined.html")
    lines = joined(map(_finding, findings[:MOST_FINDINGS]))
    return filled("findings.html", findings=lines) if lines else filled("all_well.html")


def templates_text(count: int) -> str:
    """How many."""
    return f"{count} template{'' if count == 1 else 's'}"


def _found_text(found: int, people: int) -> str:
    if found == people <= MOST_PEOPLE:
        return f"{people} enrolled"
    shown = min(found, MOST_PEOPLE)
    return f"{shown} of {people} enrolled; look for others by a part of their name"


def _person_line(person: IdentitySummary) -> Markup:
    disabled = f", {person.disabled} not used" if person.disabled else ""
    return filled(
        "person_line.html",
        person=person_id(person.identity),
        name=person.identity,
        facts=f"{templates_text(person.templates)}{disabled}, quality {person.mean_quality:.2f}",
        enrolled=clock_time(person.last_enrolled_utc_s),
    )


def _hit_line(record: HitRecord) -> Markup:
    return filled(
        "hit_line.html",
        number=str(record.number),
        camera=record.camera,
        at=clock_time(record.captured_utc_s),
    )


def _template(frame: PageFrame, person: str, facts: TemplateFacts) -> Markup:
    number = str(facts.number)
    nearest = facts.other
    other = f"{nearest.identity} {nearest.similarity:.3f}" if nearest else "nobody else is enrolled"
    own = "the only one" if facts.own is None else f"{facts.own:.3f} to the nearest of its own"
    return filled(
        "template.html",
        number=number,
        photo=PurePath(facts.photo_name).name if facts.photo_name else "without a photo",
        at=clock_time(facts.created_utc_s),
        quality=f"{facts.quality:.2f}",
        level=f"{100 * facts.quality:.0f}",
        own=own,
        other=other,
        actions=_template_actions(frame, person, number, is_only=facts.own is None),
    )


def _template_actions(frame: PageFrame, person: str, number: str, *, is_only: bool) -> Markup:
    values = {"person": person, "number": number}
    disable = Markup() if is_only else frame.form("disable.html", role="operator", **values)
    move = frame.form("move.html", role="operator", **values)
    remove = frame.form("remove_template.html", role="admin", **values)
    forms = joined((disable, move, remove))
    return filled("template_actions.html", number=number, forms=forms) if forms else forms


def _disabled_list(frame: PageFrame, person: str, disabled: Sequence[DisabledTemplate]) -> Markup:
    lines = (
        filled(
            "disabled_template.html",
            number=str(each.template_id),
            at=clock_time(each.disabled_utc_s),
            reason=each.reason,
            enable=frame.form(
                "enable.html", role="operator", person=person, number=str(each.template_id)
            ),
        )
        for each in disabled
    )
    return filled("disabled.html", templates=joined(lines)) if disabled else Markup()


def _alike(frame: PageFrame, person: str, candidate: Candidate, threshold: float) -> Markup:
    other = person_id(candidate.identity)
    merge = (
        filled("merge_link.html", person=person, other=other, name=candidate.identity)
        if frame.may("operator")
        else Markup()
    )
    return filled("alike.html", candidate=candidate_html(candidate, threshold), merge=merge)


def _finding(finding: Finding) -> Markup:
    numbers = ", ".join(map(str, finding.template_ids))
    return filled(
        "finding.html",
        kind=finding.kind.value,
        person=person_id(finding.identity),
        name=finding.identity,
        other=_finding_other(finding),
        templates="" if finding.kind is Kind.ONE_PERSON else f"Template {numbers} of ",
        reason=finding.reason,
        remedy=_remedy(finding),
    )


def _finding_other(finding: Finding) -> Markup:
    if finding.other is None:
        return Markup()
    link = ", taken for" if finding.kind is Kind.TAKEN_FOR_ANOTHER else " and"
    person, name = person_id(finding.other), finding.other
    return filled("finding_other.html", link=link, person=person, name=name)


def _remedy(finding: Finding) -> str:
    """What to do about it, by the means of this page."""
    if finding.disable:
        return "The agent does better without it: open the person, and stop using it."
    match finding.kind:
        case Kind.ONE_PERSON:
            return "If they are one person, open one of them and merge the two."
        case Kind.TWO_PEOPLE:
            return "If so, give the templates of one to another name."
        case Kind.SAME_PHOTO:
            return "Remove the template from the person whom the photo does not show."
        case Kind.TAKEN_FOR_ANOTHER:
            return "Give the template to the person whom the photo shows."
        case _:
            return "Look at the photo; if it is bad, remove the template."
