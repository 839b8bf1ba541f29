"""A thousand agents and what becomes of their events while all around them fails.

    PYTHONPATH=.:tests python tests/bench/fleet_sim.py [--agents 100 300 1000] [--write]

Their outboxes, publishers, statuses and galleries are real, and so are the brokers: a NATS cluster
of three nodes, and one Mosquitto. There are no cameras. One after the other, while events go on: a
new gallery, the broker's node that most are at killed -9, the cable pulled out (where the machine
lets us make network namespaces), 30 % of the agents killed -9. At the end every event that an agent
ever committed has to be in the sinks' store, once.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from support.bench_report import conditions, markdown_table, write_section
from support.fleet_brokers import FleetBrokers, MosquittoBroker, NatsBrokers
from support.fleet_record import PostgresEvents, SqliteEvents, StoredEvents
from support.fleet_simulation import PATIENCE_S, Outcome, Plan, Recovery, Simulation
from support.gallery_publisher import Workshop
from support.network_cable import NetworkCable
from support.postgres import Postgres, postgres_folder
from support.simulated_agent import Site
from support.simulated_fleet import PROCESS_AGENTS, SimulatedFleet, running
from support.temp_root import MEMORY, is_fit

STARTS_HZ = 8
"""Agents that are started a second: this machine starts them all, and has two cores."""
KINDS = {"nats": NatsBrokers, "mosquitto": MosquittoBroker}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, nargs="*", default=[100, 300, 1000])
    parser.add_argument("--brokers", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--period", type=float, default=30.0, help="between an agent's events, s")
    parser.add_argument("--delivered", choices=("sink", "broker"), default="sink")
    parser.add_argument("--outcomes", type=Path, help="JSON lines of earlier runs, to be added to")
    parser.add_argument("--write", action="store_true", help="into README.md")
    given = parser.parse_args()
    let_many_files_be_open()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # take all away, as at Ctrl-C
    has_cable = NetworkCable.is_possible()
    if not has_cable:
        print("no network namespaces here (not root): no cable is pulled out", file=sys.stderr)
    plans = [
        Plan(
            kind,
            agents,
            given.period,
            given.delivered,
            per_process=min(PROCESS_AGENTS, max(1, agents // 10)),
            has_cable=has_cable,
        )
        for agents in given.agents
        for kind in given.brokers
    ]
    outcomes = kept(given.outcomes) if given.outcomes else []
    for plan in plans:
        outcomes.append(simulated(plan))
        if given.outcomes:
            with given.outcomes.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcomes[-1])) + "\n")
        Console(width=160, stderr=True).print(Markdown(report(outcomes)))
    if given.write:
        write_section("fleet_sim.py", report(outcomes))


def kept(path: Path) -> list[Outcome]:
    """Of earlier runs."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [
        Outcome(
            **fields
            | {
                "plan": Plan(**fields["plan"]),
                "recoveries": tuple(Recovery(**each) for each in fields["recoveries"]),
            }
        )
        for fields in map(json.loads, lines)
    ]


def let_many_files_be_open() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def simulated(plan: Plan) -> Outcome:
    """Run it from the first start to the last event."""
    with ExitStack() as stack:
        # every device has a disk of its own; one for all of them would be all that is measured
        memory = MEMORY if is_fit() else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        cable = stack.enter_context(NetworkCable()) if plan.has_cable else None
        progress = stack.enter_context(progress_bar())
        brokers = started(plan, folder, cable.here if cable else "127.0.0.1")
        stack.callback(brokers.end)
        store = stack.enter_context(a_store(folder, plan.sinks))
        sinks = stack.enter_context(sinks_of(brokers, store, plan.sinks))
        workshop = stack.enter_context(Workshop(folder))
        site = Site(
            folder / "agents",
            brokers.mqtt,
            plan.delivered,
            plan.event_period_s,
            workshop.public_key_path,
            start_pause_s=plan.agents / STARTS_HZ / plan.per_process,
        )
        prefix = cable.prefix if cable else ()
        fleet = SimulatedFleet(site, plan.agents, prefix=prefix, per_process=plan.per_process)
        stack.enter_context(running(fleet))
        return Simulation(plan, brokers, fleet, store, sinks, workshop, cable, progress).run()


def progress_bar() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
    )
    return Progress(*columns, console=Console(stderr=True))


def started(plan: Plan, folder: Path, host: str) -> FleetBrokers:
    own = folder / "brokers"
    own.mkdir()
    brokers = KINDS[plan.kind](own, host)
    brokers.start()
    return brokers


@contextmanager
def a_store(folder: Path, sinks: int) -> Iterator[StoredEvents]:
    """PostgreSQL where several sinks share it; a file where there is one."""
    if sinks == 1:
        yield SqliteEvents(folder / "events.db")
        return
    programs = postgres_folder()
    assert programs is not None, "several sinks share a PostgreSQL: apt install postgresql"
    server = Postgres(programs)
    try:
        server.start()
        yield PostgresEvents(server.new_place())
    finally:
        server.remove()


@contextmanager
def sinks_of(
    brokers: FleetBrokers, store: StoredEvents, count: int
) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "edge_reid", "sink", *brokers.sink_words, "--to", store.url]
    sinks = [
        subprocess.Popen([*command, "--name", f"s{number}"], stderr=subprocess.DEVNULL)
        for number in range(count)
    ]
    try:
        yield sinks
    finally:
        for sink in sinks:
            sink.terminate()
        for sink in sinks:
            with suppress(subprocess.TimeoutExpired):
                sink.wait(15)
            sink.kill()


def report(outcomes: Sequence[Outcome]) -> str:
    """The section of the README."""
    plan = outcomes[0].plan
    beside = (
        f"others, as the table says (free %); an event every {plan.event_period_s:g} s and agent"
    )
    return "\n\n".join(
        [
            conditions("paho-mqtt", "nats-py", "psycopg", beside=beside),
            markdown_table(CALM, (calm_cells(outcome) for outcome in outcomes)),
            markdown_table(
                FAULTS, (cells for outcome in outcomes for cells in fault_cells(outcome))
            ),
            markdown_table(RECKONING, (reckoning_cells(outcome) for outcome in outcomes)),
        ]
    )


CALM = (
    "brokers", "agents", "all online s", "events/s", "messages/s", "CPU ms/s an agent",
    "MB an agent", "brokers CPU s/s", "brokers MB", "consumers",
    "sinks CPU s/s", "free %", "new gallery s",
)  # fmt: skip
FAULTS = ("brokers", "agents", "fault", "waited at most", "quiet s", "stored/s", "back online/s")
RECKONING = ("brokers", "agents", "events", "lost", "doubled", "dropped")


def calm_cells(outcome: Outcome) -> list[str]:
    return [
        outcome.brokers,
        f"{outcome.plan.agents:,}",
        _seconds(outcome.online_s),
        f"{outcome.events_hz:.1f}",
        f"{outcome.messages_hz:.0f}",
        f"{outcome.agent_cpu_ms_s:.2f}",
        f"{outcome.agent_mb:.2f}",
        f"{outcome.broker_cpu_s_s:.2f}",
        f"{outcome.broker_mb:.0f}",
        "–" if outcome.consumers is None else str(outcome.consumers),
        f"{outcome.sinks_cpu_s_s:.2f}",
        f"{100 * outcome.free_share:.0f}",
        _seconds(outcome.gallery_s),
    ]


def fault_cells(outcome: Outcome) -> Iterator[list[str]]:
    for recovery in outcome.recoveries:
        yield [
            outcome.brokers,
            f"{outcome.plan.agents:,}",
            recovery.fault,
            f"{recovery.backlog:,}",
            _seconds(recovery.quiet_s),
            f"{recovery.stored_hz:.0f}",
            f"{recovery.online_hz:.0f}",
        ]


def reckoning_cells(outcome: Outcome) -> list[str]:
    counts = (outcome.committed, outcome.lost, outcome.doubled, outcome.dropped)
    return [outcome.brokers, f"{outcome.plan.agents:,}", *(f"{count:,}" for count in counts)]


def _seconds(span_s: float | None) -> str:
    return f"> {PATIENCE_S:.0f}" if span_s is None else f"{span_s:.0f}"


if __name__ == "__main__":
    main()
