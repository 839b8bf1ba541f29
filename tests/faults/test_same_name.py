"""Two agents of one name, a cloned card say: who is online stays, the other says so and waits."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS
from support.fault_figures import Figure, record
from support.mosquitto import Mosquitto
from support.tcp_gate import Gate

from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AgentStatus

pytestmark = pytest.mark.broker

SCRIPT = Path(__file__).parents[1] / "support" / "named_agent.py"
STATUS = "agents/gate-1/status"
START_S = 30.0


class Agent:
    """A process of `named_agent.py`; `links` are the states of its link so far."""

    def __init__(self, outbox: Path, port: int, first_track: int, silence_s: float) -> None:
        self.links: list[dict[str, str]] = []
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *map(str, (outbox, port, first_track, silence_s))],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def link(self) -> str:
        return self.links[-1]["link"] if self.links else ""

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.links.append(json.loads(line))


Start = Callable[..., Agent]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an agent with an outbox of that name; all are killed afterwards."""
    agents: list[Agent] = []

    def start_agent(outbox: str, port: int, first_track: int, *, silence_s: float = 60.0) -> Agent:
        agents.append(Agent(tmp_path / f"{outbox}.db", port, first_track, silence_s))
        return agents[-1]

    yield start_agent
    for agent in agents:
        agent.kill()


def online_sessions(consumer: Consumer) -> list[str]:
    """In the order of their statuses."""
    return [it["session"] for it in consumer.payloads(STATUS) if it["state"] == "online"]


def tracks(consumer: Consumer) -> set[int]:
    return {hit["track_id"] for hit in consumer.payloads("gate/hit")}


def test_who_comes_second_stands_aside_says_for_whom_and_takes_over_when_the_first_goes(
    broker: Mosquitto, start: Start
) -> None:
    with Consumer(broker.broker()) as consumer:
        first = start("first", broker.port, 1)
        eventually(lambda: first.link == "online", START_S)
        consumer.wait_for(STATUS)
        (session,) = set(online_sessions(consumer))
        second = start("second", broker.port, 1001)
        eventually(lambda: second.link == "name taken", START_S)

        status = consumer.payloads(STATUS)[0]
        reason = second.links[-1]["reason"]
        assert f"on host {socket.gethostname()}, started {status['started_at']}" in reason
        assert "give one of them another name" in reason
        duplicates = consumer.wait_for("agents/gate-1/duplicate", count=3, timeout_s=START_S)
        assert session not in {it["session"] for it in duplicates}
        assert duplicates[-1]["outbox_depth"] > 0

        # several looks later the first has not been disturbed, and the second has said nothing
        assert first.link == "online"
        assert len(first.links) <= 2  # connecting, online
        assert set(online_sessions(consumer)) == {session}
        assert not any(it["state"] == "offline" for it in consumer.payloads(STATUS))
        assert max(tracks(consumer)) < 1001
        assert [it["link"] for it in second.links].count("name taken") == 1  # told once

        first.stop()
        eventually(lambda: second.link == "online", START_S)
        eventually(lambda: max(tracks(consumer)) > 1000, START_S)
        second.stop()
        sent_by_second = {track for track in tracks(consumer) if track > 1000}
        assert min(sent_by_second) == 1001
        assert sent_by_second == set(range(1001, max(sent_by_second) + 1))
        assert any(hit["replayed"] for hit in consumer.payloads("gate/hit"))
    events = max(sent_by_second) - 1000  # that waited while it stood aside, and some more
    record(
        Figure(
            "two agents of one name, one after the other", 1, events, events - len(sent_by_second)
        )
    )


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_two_that_start_together_end_with_one_online_and_no_war(
    broker: Mosquitto, start: Start, times: int
) -> None:
    for round_ in range(times):
        with Consumer(broker.broker()) as consumer:
            both = [start(f"{name}-{round_}", broker.port, 1) for name in ("one", "other")]
            eventually(lambda: {it.link for it in both} == {"online", "name taken"}, START_S)  # noqa: B023
            (winner,) = (it for it in both if it.link == "online")
            changes = len(winner.links)
            settled = len(online_sessions(consumer))
            # ten statuses on: always the same one, and it was not thrown out
            eventually(lambda: len(online_sessions(consumer)) >= settled + 10)  # noqa: B023
            assert len(set(online_sessions(consumer)[settled + 1 :])) == 1
            assert len(winner.links) == changes
            for agent in both:
                agent.kill()
            # the broker says it for the dead
            eventually(lambda: consumer.payloads(STATUS)[-1]["state"] == "offline")
    record(Figure("two agents of one name, started together", times))


def test_an_agent_that_lost_its_power_is_not_its_own_rival(broker: Mosquitto, start: Start) -> None:
    """Behind a dead cable the broker goes on believing in the agent's former life."""
    with Gate(broker.port) as gate, Consumer(broker.broker()) as consumer:
        former = start("same", gate.port, 1)
        eventually(lambda: former.link == "online", START_S)
        gate.is_frozen = True
        former.kill()
        again = start("same", broker.port, 1001)
        eventually(lambda: again.link == "online", START_S)
        assert "name taken" not in [it["link"] for it in again.links]
        eventually(lambda: len(set(online_sessions(consumer))) == 2)


def copied(folder: Path, outbox: str, copy: str) -> None:
    """The outbox of an agent that runs, as a card is cloned."""
    for suffix in ("", "-wal", "-shm"):
        if (source := folder / f"{outbox}.db{suffix}").exists():
            shutil.copy(source, folder / f"{copy}.db{suffix}")


def as_of_another_machine(outbox: Path) -> None:
    with closing(sqlite3.connect(outbox)) as file:
        (note,) = file.execute("SELECT session FROM ledger").fetchone()
        session, _, mark = note.partition(" ")
        moved = f"{session} another.{mark.partition('.')[2]}"
        file.execute("UPDATE ledger SET session = ?", (moved,))
        file.commit()


def test_the_clone_of_an_agent_that_runs_does_not_displace_it(
    broker: Mosquitto, start: Start, tmp_path: Path
) -> None:
    with Consumer(broker.broker()) as consumer:
        original = start("original", broker.port, 1)
        eventually(lambda: original.link == "online", START_S)
        copied(tmp_path, "original", "clone")
        clone = start("clone", broker.port, 1001)
        eventually(lambda: clone.link == "name taken", START_S)
        settled = len(online_sessions(consumer))
        eventually(lambda: len(online_sessions(consumer)) >= settled + 10)
        assert len(set(online_sessions(consumer))) == 1
        assert [it["link"] for it in original.links][-1] == "online"
        assert len(original.links) == len({it["link"] for it in original.links})


def test_a_clone_on_another_machine_is_a_rival_until_the_original_is_silent(
    broker: Mosquitto, start: Start, tmp_path: Path
) -> None:
    """It cannot tell whether the process of its outbox has ended."""
    with Gate(broker.port) as gate, Consumer(broker.broker()) as consumer:
        start("original", gate.port, 1)
        eventually(lambda: bool(online_sessions(consumer)), START_S)
        copied(tmp_path, "original", "clone")
        as_of_another_machine(tmp_path / "clone.db")
        gate.is_frozen = True
        clone = start("clone", broker.port, 1001, silence_s=2.0)
        eventually(lambda: clone.link == "online", START_S)
        assert "name taken" in [it["link"] for it in clone.links]


def test_a_rival_that_is_silent_is_gone(broker: Mosquitto, start: Start) -> None:
    """Its will got lost with a broker: what is retained says `online` for ever."""
    ghost = AgentStatus(
        site="lab",
        agent="gate-1",
        state="online",
        version="0.1.0",
        host="attic",
        session="0000000000000000",
        model_id="0123456789abcdef",
        gallery_version=3,
        outbox_depth=0,
        outbox_bytes=0,
        events_dropped=0,
        started_at=rfc3339(0.0),
        at=rfc3339(4e9),  # by a clock that is not ours
    )
    connection = connect(broker.broker())
    connection.publish(Message(ADDRESS.agent_status, ghost.to_json(), retain=True))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()
    agent = start("first", broker.port, 1, silence_s=1.0)
    eventually(lambda: agent.link == "online", START_S)
    assert "name taken" in [it["link"] for it in agent.links]


@pytest.mark.parametrize("body", ["", "hello", "{}", '{"schema": "edge-reid.agent/1"}'])
def test_what_is_no_status_is_no_rival(broker: Mosquitto, start: Start, body: str) -> None:
    connection = connect(broker.broker())
    connection.publish(Message(ADDRESS.agent_status, body, retain=True))
    while not connection.is_idle:
        connection.turn(0.1)
    connection.close()
    agent = start("first", broker.port, 1)
    eventually(lambda: agent.link == "online", START_S)
