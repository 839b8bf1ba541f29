"""Hundreds of simulated agents, in as few processes as the machine has room for."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from support.simulated_agent import Site

PROCESS_AGENTS = 50
"""Agents a process: `select` knows 1,024 descriptors, and an agent has a dozen."""
_PROGRAM = Path(__file__).with_name("simulated_agents.py")
_END_S = 20.0


@dataclass(frozen=True)
class FleetState:
    """How all agents do, as their processes said last."""

    committed: dict[str, int]
    """Events that each has had, by agent."""
    waiting: int
    """Events in all outboxes."""
    dropped: int
    online: int
    galleries: tuple[int, ...]
    """Version that each has."""
    published: int
    """Messages, events among them, since the processes began."""
    trouble: str
    """What most of those that are not online say; empty when all are."""


class AgentProcess:
    """One process of some agents, which can be killed and started again."""

    def __init__(self, site: Site, names: Sequence[str], prefix: Sequence[str]) -> None:
        fields = asdict(site) | {"folder": str(site.folder), "public_key": str(site.public_key)}
        self._command = [*prefix, sys.executable, str(_PROGRAM), json.dumps(fields), *names]
        self.site = site
        self.names = tuple(names)
        self.report: dict[str, object] = {}
        """The last, also of one that was killed since."""
        self._published_before = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def published(self) -> int:
        return self._published_before + int(str(self.report.get("published", 0)))

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def say(self, word: str) -> None:
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.write(f"{word}\n")
                self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._published_before = self.published
            self._process = None
            self.report = self.report | {"online": 0, "published": 0}

    def end(self) -> None:
        """Let all say goodbye."""
        self.say("end")
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self.kill()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if process is self._process:
                self.report = json.loads(line)


class SimulatedFleet:
    """Of `count` agents; `prefix` are words before their command line, `per_process` how many share
    a process.
    """

    def __init__(
        self,
        site: Site,
        count: int,
        *,
        prefix: Sequence[str] = (),
        per_process: int = PROCESS_AGENTS,
    ) -> None:
        names = [f"agent-{number:04}" for number in range(count)]
        self.count = count
        self.processes = [
            AgentProcess(site, names[at : at + per_process], prefix)
            for at in range(0, count, per_process)
        ]

    @property
    def state(self) -> FleetState:
        reports = [(process.names, process.report) for process in self.processes]
        said = [report for _, report in reports if report]
        return FleetState(
            committed={
                name: seq
                for names, report in reports
                for name, seq in zip(names, report.get("committed", [0] * len(names)), strict=True)  # type: ignore[call-overload]
            },
            waiting=_sum(said, "waiting"),
            dropped=_sum(said, "dropped"),
            online=_sum(said, "online"),
            galleries=tuple(version for report in said for version in report["galleries"]),  # type: ignore[attr-defined]
            published=sum(process.published for process in self.processes),
            trouble=next((str(report["trouble"]) for report in said if report["trouble"]), ""),
        )

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes if process.pid]

    def part(self, share: float) -> list[AgentProcess]:
        """Processes of at least so many of the agents."""
        return self.processes[: math.ceil(share * len(self.processes))]

    def start(self, begun: Callable[[], None] = lambda: None) -> None:
        """All; `begun` is called with each process."""
        for process in self.processes:
            process.start()
            begun()

    def quieten(self) -> None:
        """Nobody is seen any more."""
        for process in self.processes:
            process.say("quiet")

    def end(self) -> None:
        for process in self.processes:
            process.say("end")
        for process in self.processes:
            process.end()


def _sum(reports: Sequence[dict[str, object]], field: str) -> int:
    return sum(int(str(report[field])) for report in reports)


@contextmanager
def running(fleet: SimulatedFleet) -> Iterator[SimulatedFleet]:
    """Whatever happens, no process stays."""
    try:
        yield fleet
    finally:
        for process in fleet.processes:
            process.kill()
