"""Who has used the processor for a while: groups of processes, others, nobody (Linux)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.process_tree import TICKS_HZ, cpu_s


@dataclass(frozen=True)
class Usage:
    """Seconds of processor since the machine began."""

    groups_s: dict[str, float]
    free_s: float
    all_s: float

    def __sub__(self, before: Usage) -> Usage:
        groups = {name: used - before.groups_s[name] for name, used in self.groups_s.items()}
        return Usage(groups, self.free_s - before.free_s, self.all_s - before.all_s)

    def share(self, *groups: str) -> float:
        """Of all cores, what these have used."""
        return sum(self.groups_s[group] for group in groups) / self.all_s

    @property
    def free_share(self) -> float:
        return self.free_s / self.all_s

    @property
    def others_share(self) -> float:
        """What other processes have used, and other machines on the same hardware."""
        return max(0.0, 1 - self.free_share - self.share(*self.groups_s))


def usage(groups: Mapping[str, Collection[int]]) -> Usage:
    """By now, of groups of processes by their numbers."""
    line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    ticks = [int(field) for field in line.split()[1:9]]  # … idle, waiting for a disk, …, stolen
    used = {name: cpu_s(pids) for name, pids in groups.items()}
    return Usage(used, sum(ticks[3:5]) / TICKS_HZ, sum(ticks) / TICKS_HZ)
