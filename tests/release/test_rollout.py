"""Whose turn it is, from what the boxes say of themselves."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edge_reid.messaging.payloads import BoxUpdate
from edge_reid.messaging.wire import rfc3339
from edge_reid.release.head import Group, ReleaseHead, TargetRelease
from edge_reid.release.rollout import reason_to_wait

HEAD = ReleaseHead(
    site="lab",
    serial=5,
    version="1.1",
    targets={"pi-trixie": TargetRelease(manifest_sha256="0" * 64, manifest_bytes=1, size_bytes=1)},
    groups=(
        Group(name="canary", agents=("gate-1", "gate-2")),
        Group(name="early", agents=("yard-1",)),
    ),
    soak_s=3600,
    created_utc_s=0,
    key_id="k",
)


def said(
    agent: str,
    *,
    state: str = "current",
    serial: int = 5,
    wanted: str = "1.1",
    ran_s: float = 3600,
) -> tuple[str, BoxUpdate]:
    report = {
        "site": "lab",
        "agent": agent,
        "release": "1.1",
        "target": "pi-trixie",
        "serial": serial,
        "wanted": wanted,
        "state": state,
        "reason": "it does not start" if state == "taken-back" else None,
        "since": rfc3339(1e9),
        "at": rfc3339(1e9 + ran_s),
    }
    return agent, BoxUpdate.model_validate(report)


@pytest.mark.parametrize("agent", ["gate-1", "gate-2"])
def test_the_first_group_waits_for_nobody(agent: str) -> None:
    assert reason_to_wait(HEAD, agent, {}) is None


@pytest.mark.parametrize(
    ("agent", "reports", "reason"),
    [
        ("yard-1", [], "gate-1 of group canary, which has not said anything"),
        ("yard-1", [said("gate-1")], "gate-2 of group canary, which has not said anything"),
        ("yard-1", [said("gate-1", serial=4)], "gate-1 .* has not said anything"),
        ("yard-1", [said("gate-1", wanted="1.0")], "gate-1 .* has not said anything"),
        ("yard-1", [said("gate-1", state="fetching")], "gate-1 .* is fetching"),
        ("yard-1", [said("gate-1", state="failed")], "gate-1 .* is failed"),
        ("yard-1", [said("gate-1", ran_s=1800)], "gate-1 .* has run it for 30 of 60 min"),
        ("shed-1", [said("gate-1"), said("gate-2")], "yard-1 of group early"),
    ],
)
def test_everybody_else_waits(
    agent: str, reports: list[tuple[str, BoxUpdate]], reason: str
) -> None:
    found = reason_to_wait(HEAD, agent, dict(reports))
    assert found is not None
    assert re.search(reason, found), found


def test_one_that_tells_no_time_is_waited_for() -> None:
    agent, report = said("gate-1")
    wrong = report.model_copy(update={"since": "2026-13-01T00:00:00.000Z"})
    found = reason_to_wait(HEAD, "yard-1", {agent: wrong})
    assert found is not None
    assert "gate-1 of group canary, which tells no time" in found


def test_whoever_is_in_no_group_comes_after_all_of_them() -> None:
    every = dict([said("gate-1"), said("gate-2"), said("yard-1")])
    assert reason_to_wait(HEAD, "yard-1", every) is None
    assert reason_to_wait(HEAD, "shed-1", every) is None
    assert reason_to_wait(HEAD.model_copy(update={"groups": ()}), "shed-1", {}) is None


@pytest.mark.parametrize("agent", ["gate-2", "yard-1", "shed-1"])
def test_one_that_took_it_back_stops_all_others(agent: str) -> None:
    reports = dict([said("gate-1", state="taken-back"), said("gate-2"), said("yard-1")])
    reports.pop(agent, None)
    found = reason_to_wait(HEAD, agent, reports)
    assert found is not None
    assert "stopped: gate-1 took 1.1 back: it does not start" in found


@pytest.mark.parametrize("of", [{"serial": 4}, {"wanted": "1.0"}])
def test_what_became_of_an_earlier_release_stops_nobody(of: dict[str, Any]) -> None:
    reports = dict([said("gate-1", state="taken-back", **of)])
    assert reason_to_wait(HEAD, "gate-2", reports) is None
