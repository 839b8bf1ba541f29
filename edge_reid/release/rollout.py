"""Whose turn it is: a device takes a release when all before it have run it well for a while.

Nobody conducts this. Every device reads the groups in the signed head and what the others report of
themselves, so a roll-out goes on without anybody's laptop, and stops by itself. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge_reid.release.release_head import ReleaseHead, RolloutGroup
from edge_reid.release.soak import is_well
from edge_reid.wire.payloads import DeviceUpdate, utc_s

Reports = Mapping[str, DeviceUpdate]
"""What devices say last, by the agent that reports."""

UNNAMED_TO_STOP = 2
"""So many devices of no group that take a release back stop those of no group. The rest of them
each look after themselves: whoever does not run it well takes it back."""


def reason_to_wait(
    head: ReleaseHead, agent: str, reports: Reports, watched_s: Mapping[str, float]
) -> str | None:
    """Why the device of that agent does not take the release yet; None: it is its turn.

    Args:
        head: signed, so whom it names in its groups the publisher trusts.
        agent: that reports for the device.
        reports: of all.
        watched_s: for how long the device itself has seen each run the release well (`soak.Watch`).
    """
    if stop := _stop(head, agent, reports):
        return f"the roll-out has stopped: {stop}; publish another release"
    for group in _before(head, agent):
        for other in group.agents:
            if lack := _lack(head, reports.get(other), watched_s.get(other, 0.0)):
                return f"waits for {other} of group {group.name}, which {lack}"
    return None


def _stop(head: ReleaseHead, agent: str, reports: Reports) -> str | None:
    """Who has taken the release back, and why, if that is to stop this device.

    One that the head names is believed by its own group and all after it: that is what it goes
    first for. Of the many that it does not name no single one can stop the others.
    """
    backs = {
        name: report
        for name, report in sorted(reports.items())
        if name != agent and report.state == "taken-back" and _is_about(head, report)
    }
    mine = _group_index(head, agent)
    named = [name for name in backs if _group_index(head, name) < len(head.groups)]
    unnamed = [name for name in backs if name not in named]
    stopping = [name for name in named if _group_index(head, name) <= mine]
    if mine == len(head.groups) and len(unnamed) >= UNNAMED_TO_STOP:
        stopping += unnamed
    if not stopping:
        return None
    first, *others = stopping
    rest = f", as did {', '.join(others)}" if others else ""
    return f"{first} took {head.version} back: {backs[first].reason}{rest}"


def _group_index(head: ReleaseHead, agent: str) -> int:
    """Of its group, in their order; the number of groups for those of none, which come last."""
    indices = (index for index, group in enumerate(head.groups) if agent in group.agents)
    return next(indices, len(head.groups))


def _before(head: ReleaseHead, agent: str) -> Iterator[RolloutGroup]:
    yield from head.groups[: _group_index(head, agent)]


def _is_about(head: ReleaseHead, report: DeviceUpdate) -> bool:
    return (report.serial, report.wanted) == (head.serial, head.version)


def _lack(head: ReleaseHead, report: DeviceUpdate | None, watched_s: float) -> str | None:
    if report is None or not _is_about(head, report):
        return "has not said anything about it"
    if not is_well(head, report):
        return f"is {report.state}"
    # by its own clock, and as of its own last word: one that fell silent is no proof
    said_s = utc_s(report.at) - utc_s(report.since)
    ran_s = min(said_s, watched_s)
    if ran_s < head.soak_s:
        return f"has run it for {ran_s / 60:.0f} of {head.soak_s / 60:.0f} min"
    return None
