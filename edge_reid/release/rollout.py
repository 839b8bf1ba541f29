"""Whose turn it is: a box takes a release when all that go before it have run it well for a while.

Nobody conducts this. Every box reads the groups in the signed head and what the others report of
themselves, so a roll-out goes on without anybody's laptop, and stops by itself. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from edge_reid.messaging.payloads import BoxUpdate
from edge_reid.release.head import Group, ReleaseHead

Reports = Mapping[str, BoxUpdate]
"""What boxes say last, by the agent that reports."""


def reason_to_wait(head: ReleaseHead, agent: str, reports: Reports) -> str | None:
    """Why the box of that agent does not take the release yet; None: it is its turn."""
    for name, report in sorted(reports.items()):
        if name != agent and _is_about(head, report) and report.state == "taken-back":
            return (
                f"the roll-out has stopped: {name} took {head.version} back: {report.reason}; "
                "publish another release"
            )
    for group in _before(head, agent):
        for other in group.agents:
            if lack := _lack(head, reports.get(other)):
                return f"waits for {other} of group {group.name}, which {lack}"
    return None


def _before(head: ReleaseHead, agent: str) -> Iterator[Group]:
    for group in head.groups:
        if agent in group.agents:
            return
        yield group


def _is_about(head: ReleaseHead, report: BoxUpdate) -> bool:
    return (report.serial, report.wanted) == (head.serial, head.version)


def _lack(head: ReleaseHead, report: BoxUpdate | None) -> str | None:
    if report is None or not _is_about(head, report):
        return "has not said anything about it"
    if report.state != "current":
        return f"is {report.state}"
    try:  # by its own clock, and as of its own last word: one that fell silent is no proof
        ran_s = (_moment(report.at) - _moment(report.since)).total_seconds()
    except ValueError:  # the pattern of the wire lets a thirteenth month pass
        return f"tells no time: {report.since}, {report.at}"
    if ran_s < head.soak_s:
        return f"has run it for {ran_s / 60:.0f} of {head.soak_s / 60:.0f} min"
    return None


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at.replace("Z", "+00:00"))
