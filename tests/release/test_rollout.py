"""Whose turn it is, from what the devices say of themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge_reid.release.release_head import ReleaseHead, RolloutGroup, TargetRelease
from edge_reid.release.rollout import reason_to_wait
from edge_reid.release.soak import Watch
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import DeviceUpdate

HEAD = ReleaseHead(
    site="lab",
    serial=5,
    version="1.1",
    targets={"pi-trixie": TargetRelease(manifest_sha256="0" * 64, manifest_bytes=1, size_bytes=1)},
    groups=(
        RolloutGroup(name="canary", agents=("gate-1", "gate-2")),
        RolloutGroup(name="early", agents=("yard-1",)),
    ),
    soak_s=3600,
    created_utc_s=0,
    key_id="k",
)

LONG = dict.fromkeys(("gate-1", "gate-2", "yard-1"), 1e6)
"""All of them were watched for longer than need be."""


def said(
    agent: str,
    *,
    state: str = "current",
    serial: int = 5,
    wanted: str = "1.1",
    ran_s: float = 3600,
) -> tuple[str, DeviceUpdate]:
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
    return agent, DeviceUpdate.model_validate(report)


@pytest.mark.parametrize("agent", ["gate-1", "gate-2"])
def test_the_first_group_waits_for_nobody(agent: str) -> None:
    assert reason_to_wait(HEAD, agent, {}, {}) is None


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
    agent: str, reports: list[tuple[str, DeviceUpdate]], reason: str
) -> None:
    found = reason_to_wait(HEAD, agent, dict(reports), LONG)
    assert found is not None
    assert re.search(reason, found), found


def test_whoever_is_in_no_group_comes_after_all_of_them() -> None:
    every = dict([said("gate-1"), said("gate-2"), said("yard-1")])
    assert reason_to_wait(HEAD, "yard-1", every, LONG) is None
    assert reason_to_wait(HEAD, "shed-1", every, LONG) is None
    assert reason_to_wait(HEAD.model_copy(update={"groups": ()}), "shed-1", {}, {}) is None


@pytest.mark.parametrize("agent", ["gate-2", "yard-1", "shed-1"])
def test_one_that_took_it_back_stops_all_others(agent: str) -> None:
    reports = dict([said("gate-1", state="taken-back"), said("gate-2"), said("yard-1")])
    reports.pop(agent, None)
    found = reason_to_wait(HEAD, agent, reports, LONG)
    assert found is not None
    assert "stopped: gate-1 took 1.1 back: it does not start" in found


@pytest.mark.parametrize("of", [{"serial": 4}, {"wanted": "1.0"}])
def test_what_became_of_an_earlier_release_stops_nobody(of: dict[str, Any]) -> None:
    reports = dict([said("gate-1", state="taken-back", **of)])
    assert reason_to_wait(HEAD, "gate-2", reports, LONG) is None


def test_nobody_is_believed_who_claims_to_have_run_it_for_longer_than_was_seen() -> None:
    """With a canary's certificate one can say anything, but not make the clocks of others go."""
    reports = dict([said("gate-1", ran_s=1e6), said("gate-2")])
    found = reason_to_wait(HEAD, "yard-1", reports, {"gate-1": 600, "gate-2": 3600})
    assert found is not None
    assert "gate-1 of group canary, which has run it for 10 of 60 min" in found


def test_one_of_no_group_stops_nobody_and_two_stop_those_of_none() -> None:
    good = [said("gate-1"), said("gate-2"), said("yard-1")]
    one = dict([*good, said("shed-1", state="taken-back")])
    two = {**one, **dict([said("shed-2", state="taken-back")])}
    for agent in ("gate-1", "yard-1", "shed-9"):
        assert reason_to_wait(HEAD, agent, one, LONG) is None
    for agent in ("gate-1", "yard-1"):
        assert reason_to_wait(HEAD, agent, two, LONG) is None
    found = reason_to_wait(HEAD, "shed-9", two, LONG)
    assert found is not None
    assert "shed-1 took 1.1 back: it does not start, as did shed-2" in found


def test_a_later_group_does_not_stop_an_earlier_one() -> None:
    reports = dict([said("gate-1"), said("yard-1", state="taken-back")])
    assert reason_to_wait(HEAD, "gate-2", reports, LONG) is None


class TestWatch:
    def test_it_counts_from_the_first_look_at_which_all_was_well(self, tmp_path: Path) -> None:
        reports = dict([said("gate-1"), said("gate-2", state="fetching")])
        assert Watch(tmp_path / "soak.json").look(HEAD, reports, 1000.0) == {"gate-1": 0}
        assert Watch(tmp_path / "soak.json").look(HEAD, reports, 1600.0) == {"gate-1": 600}

    def test_whoever_was_not_well_meanwhile_is_watched_anew(self, tmp_path: Path) -> None:
        watch = Watch(tmp_path / "soak.json")
        watch.look(HEAD, dict([said("gate-1")]), 1000.0)
        watch.look(HEAD, dict([said("gate-1", state="failed")]), 1600.0)
        assert watch.look(HEAD, dict([said("gate-1")]), 2200.0) == {"gate-1": 0}

    def test_another_release_begins_anew(self, tmp_path: Path) -> None:
        watch = Watch(tmp_path / "soak.json")
        watch.look(HEAD, dict([said("gate-1")]), 1000.0)
        next_head = HEAD.model_copy(update={"serial": 6})
        assert watch.look(next_head, dict([said("gate-1", serial=6)]), 1600.0) == {"gate-1": 0}

    def test_a_clock_that_was_wrong_proves_nothing(self, tmp_path: Path) -> None:
        """The first look was in 1970, as on a device without a battery, before it was published."""
        head = HEAD.model_copy(update={"created_utc_s": 1e9})
        watch = Watch(tmp_path / "soak.json")
        watch.look(head, dict([said("gate-1")]), 100.0)
        assert watch.look(head, dict([said("gate-1")]), 1e9 + 60) == {"gate-1": 60}
        assert watch.look(head, dict([said("gate-1")]), 2e9) == {"gate-1": 1e9}
        assert watch.look(head, dict([said("gate-1")]), 1.5e9) == {"gate-1": 5e8}, "set back"

    def test_a_file_that_was_cut_off_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "soak.json").write_text('{"serial": 5, "si')
        assert Watch(tmp_path / "soak.json").look(HEAD, dict([said("gate-1")]), 9.0) == {
            "gate-1": 0
        }
