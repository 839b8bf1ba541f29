"""What a process and those that it has started hold and use, as the kernel tells it (Linux)."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS_HZ = os.sysconf("SC_CLK_TCK")
"""In which the kernel counts processor time."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process holds; MB are 10⁶ bytes.

    `own_mb` is what it has written or shares by `memfd`. PSS, in which a shared page counts by its
    share, and RSS also hold pages of programs and files, which the kernel takes and gives as it
    likes: they rise and fall without any leak.
    """

    own_mb: float
    pss_mb: float
    rss_mb: float
    descriptors: int
    threads: int


def process_tree(*roots: int) -> list[int]:
    """These processes and all that they have started and that still run, by rising number."""
    wanted, parents = set(roots), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sorted(wanted)


def holding(pid: int) -> Holding | None:
    """What it holds; None when it is gone, or going."""
    with suppress(OSError, KeyError, IndexError):
        memory = _fields(pid, "smaps_rollup")
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        status = _fields(pid, "status")
        own_mb = _mb(status["RssAnon"]) + _mb(status["RssShmem"])
        threads = int(status["Threads"][0])
        return Holding(own_mb, _mb(memory["Pss"]), _mb(memory["Rss"]), descriptors, threads)
    return None


def cpu_s(pids: Collection[int]) -> float:
    """Seconds of processor that these have used so far."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            ticks += sum(int(field) for field in _stat(pid)[11:13])
    return ticks / TICKS_HZ


def _stat(pid: int) -> list[str]:
    """Fields of `/proc/PID/stat` after the name, which may have blanks: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _mb(field: list[str]) -> float:
    """Of `[number, "kB"]`, which are 1024 bytes."""
    return int(field[0]) * 1024 / 1e6


def _fields(pid: int, file: str) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
