"""Which devices take a release first, and under which name they are looked for."""

from __future__ import annotations

from pathlib import Path

from support.sites import SITE, per_camera, write_site

from deploy.site.rollout_groups import renamed_reporters, rollout_groups
from deploy.site.site import Site, load_site
from edge_reid.wire.payloads import DeviceUpdate


def a_site(folder: Path, text: str = SITE) -> Site:
    """One whose yard goes first too."""
    return load_site(write_site(folder, text.replace("[devices.yard-1]", YARD)))


YARD = '[devices.yard-1]\ngroup = "canary"'


def reports(**said_at: str) -> dict[str, DeviceUpdate]:
    """What agents, by their names with _ for -, said last in the first minutes of 2026."""
    times = {name.replace("_", "-"): f"2026-01-01T00:{at}:00.000Z" for name, at in said_at.items()}
    return {
        name: DeviceUpdate(
            site="lab",
            agent=name,
            release="0.5.0",
            target="pi-bookworm",
            serial=1,
            wanted="0.5.0",
            state="current",
            reason=None,
            since=at,
            at=at,
        )
        for name, at in times.items()
    }


def agents(site: Site, said: dict[str, DeviceUpdate]) -> tuple[str, ...]:
    """In the first group."""
    return rollout_groups(site, without=renamed_reporters(site, said))[0].agents


def test_each_device_is_looked_for_by_the_agent_that_reports_for_it(tmp_path: Path) -> None:
    said = reports(gate_1="01", yard_1="01", yard_1_north="00")
    assert agents(a_site(tmp_path), {}) == ("gate-1", "yard-1"), "nobody has said anything yet"
    assert agents(a_site(tmp_path), said) == ("gate-1", "yard-1")
    several = a_site(tmp_path, per_camera())
    assert agents(several, reports(yard_1_north="01", yard_1="00")) == ("gate-1", "yard-1-north")


def test_nobody_waits_for_one_that_reports_under_the_name_of_before(tmp_path: Path) -> None:
    """It says nothing under its next name before it has the release."""
    said = reports(gate_1="01", yard_1_north="01")
    assert renamed_reporters(a_site(tmp_path), said) == {"yard-1": "yard-1-north"}
    assert agents(a_site(tmp_path), said) == ("gate-1",)
    several = a_site(tmp_path, per_camera())
    assert agents(several, reports(yard_1_north="00", yard_1="01")) == ("gate-1",)
