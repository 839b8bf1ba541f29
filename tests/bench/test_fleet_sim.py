"""The simulation itself, with a handful of agents: what it counts, and that nothing is lost."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from fleet_sim import report, simulated
from support.fleet_simulation import Outcome, Plan
from support.mosquitto import mosquitto_path
from support.nats_cluster import need_nats
from support.network_cable import NetworkCable
from support.requirements import absent

from edge_reid.wire.topics import EVENTS

pytestmark = pytest.mark.broker

AGENTS = 6


def few(kind: str) -> Outcome:
    """Six agents in three processes, one of which is killed, who have an event every second."""
    return simulated(
        Plan(
            kind,
            AGENTS,
            event_period_s=1.0,
            sinks=1,
            calm_s=3.0,
            down_s=1.0,
            per_process=2,
            has_cable=False,
        )
    )


@pytest.mark.parametrize("kind", ["nats", pytest.param("mosquitto", marks=pytest.mark.soak)])
def test_a_few_agents_lose_nothing_while_all_around_them_fails(kind: str) -> None:
    need_nats() if kind == "nats" else need_mosquitto()
    outcome = few(kind)
    assert outcome.committed > AGENTS
    assert (outcome.lost, outcome.doubled, outcome.dropped) == (0, 0, 0)
    assert outcome.online_s is not None
    assert outcome.gallery_s is not None
    assert all(recovery.quiet_s is not None for recovery in outcome.recoveries)
    faults = [recovery.fault for recovery in outcome.recoveries]
    assert faults[0] == "a node killed -9"
    assert faults[-1] == "33 % of agents killed -9"
    assert 0 < outcome.agent_mb < 50
    assert outcome.consumers in (None, len(EVENTS))  # of the sinks, and of no agent
    assert "| 0 | 0 | 0 |" in report([outcome])


def need_mosquitto() -> None:
    if mosquitto_path() is None:
        absent("mosquitto (Debian: apt install mosquitto; macOS: brew install mosquitto)")


def is_reached(cable: NetworkCable) -> bool:
    """Whether somebody at its other end reaches us."""
    with socket.create_server((cable.here, 0)) as server:
        port = server.getsockname()[1]
        asks = f"import socket; socket.create_connection(('{cable.here}', {port}), 1.0)"
        command = [*cable.prefix, sys.executable, "-c", asks]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_cable_that_is_out_lets_nothing_through() -> None:
    if not NetworkCable.is_possible():
        pytest.skip("network namespaces: this machine makes none for us")
    with NetworkCable() as cable:
        assert is_reached(cable)
        cable.pull()
        assert not is_reached(cable)
        cable.plug_in()
        assert is_reached(cable)
