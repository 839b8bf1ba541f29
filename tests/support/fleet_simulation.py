"""A fleet that is simulated, phase by phase: what happens to it, and what becomes of its events."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.progress import Progress
from support.fleet_brokers import FleetBrokers
from support.fleet_record import FleetRecord, Look, StoredEvents, mean_hz, peak_hz
from support.gallery_publisher import SITE, Workshop, portraits
from support.machine_load import Usage, usage
from support.network_cable import NetworkCable
from support.process_tree import holding, process_tree
from support.simulated_fleet import AgentProcess, SimulatedFleet

from edge_reid.transfer.gallery_transfer import gallery_at_broker

KILLED_SHARE = 0.3
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Plan:
    """What is simulated."""

    kind: str
    agents: int
    event_period_s: float = 30.0
    delivered: str = "sink"
    sinks: int = 2
    calm_s: float = 40.0
    away_s: float = 75.0
    """How long the cable is out: one and a half keepalives, after which connections break."""
    down_s: float = 20.0
    """How long what is killed stays so, where nothing stands in for it."""
    per_process: int = 10
    """Agents that share a process, and are killed together."""
    has_cable: bool = True


@dataclass(frozen=True)
class Recovery:
    """What one fault came to."""

    fault: str
    backlog: int
    """Events that waited at most."""
    quiet_s: float | None
    """Until all are online and no more events wait than before; None: not within `PATIENCE_S`."""
    stored_hz: float
    """Peak."""
    online_hz: float
    """Agents that came online a second, peak."""


@dataclass(frozen=True)
class Outcome:
    """Of one simulation."""

    plan: Plan
    brokers: str
    online_s: float | None
    """From the start of all to all online."""
    events_hz: float
    messages_hz: float
    agent_cpu_ms_s: float
    agent_mb: float
    broker_cpu_s_s: float
    broker_mb: float
    """Of all nodes."""
    consumers: int | None
    """For whom a cluster keeps a place on several disks; None: it has no such thing."""
    sinks_cpu_s_s: float
    free_share: float
    gallery_s: float | None
    recoveries: tuple[Recovery, ...]
    committed: int
    lost: int
    doubled: int
    dropped: int


class Simulation:
    """One, told phase by phase."""

    def __init__(
        self,
        plan: Plan,
        brokers: FleetBrokers,
        fleet: SimulatedFleet,
        store: StoredEvents,
        sinks: Sequence[subprocess.Popen[bytes]],
        workshop: Workshop,
        cable: NetworkCable | None,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._brokers = brokers
        self._fleet = fleet
        self._sinks = sinks
        self._workshop = workshop
        self._cable = cable
        self._progress = progress
        self._store = store
        self._task = progress.add_task("", total=9, status="")
        self._phase = ""
        self._record = FleetRecord(lambda: fleet.state, store, self._show)
        self._calm_waiting = 0

    def run(self) -> Outcome:
        self._begin("an empty process")
        empty_mb = self._memory_of_an_empty_process()
        self._publish_gallery()
        self._begin("start")
        self._fleet.start()
        online_s = self._record.until(self._are_all_here, PATIENCE_S)
        self._begin("calm")
        before = usage(self._groups)
        calm = self._record.during(self._plan.calm_s)
        used = usage(self._groups) - before
        self._calm_waiting = max(look.state.waiting for look in calm)
        outcome = self._calm_outcome(calm, used, empty_mb)
        self._begin("a new gallery")
        gallery_s = self._new_gallery()
        recoveries = tuple(self._recovery(*fault) for fault in self._faults())
        self._begin("the last events")
        committed, lost, doubled, dropped = self._reckoning()
        return replace(
            outcome,
            online_s=online_s,
            gallery_s=gallery_s,
            recoveries=recoveries,
            committed=committed,
            lost=lost,
            doubled=doubled,
            dropped=dropped,
        )

    def _calm_outcome(self, calm: Sequence[Look], used: Usage, empty_mb: float) -> Outcome:
        span_s = calm[-1].at_s - calm[0].at_s
        memory_mb = sum(held.own_mb for pid in self._fleet.pids if (held := holding(pid)))
        nodes_mb = sum(held.own_mb for pid in self._brokers.pids.values() if (held := holding(pid)))
        agents = self._plan.agents
        return Outcome(
            plan=self._plan,
            brokers=self._brokers.name,
            online_s=None,
            events_hz=mean_hz(calm, lambda look: look.stored),
            messages_hz=mean_hz(calm, lambda look: look.state.published),
            agent_cpu_ms_s=1e3 * used.groups_s["agents"] / span_s / agents,
            agent_mb=(memory_mb - empty_mb * len(self._fleet.pids)) / agents,
            broker_cpu_s_s=used.groups_s["brokers"] / span_s,
            broker_mb=nodes_mb,
            consumers=self._brokers.consumers,
            sinks_cpu_s_s=used.groups_s["sinks"] / span_s,
            free_share=used.free_share,
            gallery_s=None,
            recoveries=(),
            committed=0,
            lost=0,
            doubled=0,
            dropped=0,
        )

    @property
    def _groups(self) -> dict[str, list[int]]:
        return {
            "agents": process_tree(*self._fleet.pids),
            "brokers": list(self._brokers.pids.values()),
            "sinks": [sink.pid for sink in self._sinks],
        }

    def _faults(self) -> Iterator[tuple[str, Callable[[], None], Callable[[], None], float]]:
        """Its name, how it begins, how it ends, and after how long; what stands in for it needs no
        end.
        """
        brokers, is_cluster = self._brokers, len(self._brokers.pids) > 1
        kill, start = (lambda: brokers.kill_node(0)), (lambda: brokers.start_node(0))
        yield "a node killed -9", kill, nothing if is_cluster else start, self._plan.down_s
        if is_cluster:
            yield "that node back", nothing, start, 0.0
        if self._cable:
            yield "cable out", self._cable.pull, self._cable.plug_in, self._plan.away_s
        hit = self._fleet.part(KILLED_SHARE)
        share = sum(len(process.names) for process in hit) / self._plan.agents
        yield (
            f"{100 * share:.0f} % of agents killed -9",
            lambda: each(hit, AgentProcess.kill),
            lambda: each(hit, AgentProcess.start),
            self._plan.down_s,
        )

    def _recovery(
        self, fault: str, begin: Callable[[], None], end: Callable[[], None], after_s: float
    ) -> Recovery:
        self._begin(fault)
        began_s = time.monotonic()
        begin()
        if end is not nothing:
            self._record.during(after_s)
            end()
        else:
            self._record.during(2.0)  # until somebody has noticed
        quiet_s = self._record.until(self._is_quiet, PATIENCE_S)
        looks = self._record.since(began_s)
        recovery = Recovery(
            fault,
            max(look.state.waiting for look in looks),
            quiet_s,
            peak_hz(looks, lambda look: look.stored),
            peak_hz(looks, lambda look: look.state.online),
        )
        self._progress.console.print(f"{recovery}, before it {self._calm_waiting} waited")
        return recovery

    def _is_quiet(self, look: Look) -> bool:
        is_quiet = self._are_all_here(look) and look.state.waiting <= self._calm_waiting
        return is_quiet and all(self._are_all_here(before) for before in self._record.looks[-4:])

    def _are_all_here(self, look: Look) -> bool:
        return look.state.online == self._plan.agents

    def _new_gallery(self) -> float | None:
        version = max(self._record.take().state.galleries)
        self._publish_gallery()
        return self._record.until(lambda look: min(look.state.galleries) > version, PATIENCE_S)

    def _publish_gallery(self) -> None:
        """With somebody new."""
        self._workshop.store.add_all(portraits(f"newcomer {time.monotonic_ns()}"))
        with gallery_at_broker(self._brokers.broker(), "edge-reid", SITE) as target:
            self._workshop.publish(target)

    def _reckoning(self) -> tuple[int, int, int, int]:
        """Committed, lost, doubled, dropped."""
        self._fleet.quieten()
        self._record.during(3.0)  # all have said what they had
        self._record.until(
            lambda look: look.state.waiting == 0 and look.stored >= look.committed, PATIENCE_S
        )
        state, rows = self._record.take().state, self._store.rows()
        wanted = {
            (agent, seq) for agent, last in state.committed.items() for seq in range(1, last + 1)
        }
        found = [(agent, seq) for agent, seq, _ in rows]
        ids = {event_id for _, _, event_id in rows}
        return len(wanted), len(wanted - set(found)), len(rows) - len(ids), state.dropped

    def _memory_of_an_empty_process(self) -> float:
        """What Python and our packages take without any agent, MB."""
        empty = AgentProcess(self._fleet.processes[0].site, (), ())
        empty.start()
        try:
            deadline_s = time.monotonic() + PATIENCE_S
            while not empty.report and time.monotonic() < deadline_s:
                time.sleep(0.1)
            held = holding(empty.pid or 0)
            return held.own_mb if held else 0.0
        finally:
            empty.kill()

    def _begin(self, phase: str) -> None:
        self._phase = phase
        self._progress.advance(self._task)
        self._show("")

    def _show(self, status: str) -> None:
        who = f"{self._plan.agents} agents, {self._brokers.name}: {self._phase}"
        self._progress.update(self._task, description=who, status=status)


def nothing() -> None:
    """Of a fault that something stands in for."""


def each(processes: Sequence[AgentProcess], do: Callable[[AgentProcess], None]) -> None:
    for process in processes:
        do(process)
