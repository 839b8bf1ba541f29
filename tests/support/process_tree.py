"""What a process and those that it has started hold and use, as the kernel tells it (Linux)."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
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


@dataclass(frozen=True, slots=True)
class Memory:
    """What several processes hold together; MB are 10⁶ bytes.

    Unlike PSS it is the same whoever else runs: pages of files count once here, and in full, though
    others have the same libraries mapped.
    """

    own_mb: float
    """Written by each, and shared among them by `memfd`, once."""
    files_mb: float
    """Pages of programs and files."""

    @property
    def all_mb(self) -> float:
        return self.own_mb + self.files_mb


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


def memory(pids: Collection[int]) -> Memory:
    """What these hold together; those that are gone hold nothing."""
    own_kb, by_memfd, by_file = 0, dict[_Part, int](), dict[_Part, int]()
    for pid in pids:
        with suppress(OSError):
            for part, rss_kb, anonymous_kb in _mappings(pid):
                own_kb += anonymous_kb
                shared = by_memfd if part.path.startswith("/memfd:") else by_file
                shared[part] = max(shared.get(part, 0), rss_kb - anonymous_kb)
    own_kb += sum(by_memfd.values())
    return Memory(own_kb * 1024 / 1e6, sum(by_file.values()) * 1024 / 1e6)


@dataclass(frozen=True, slots=True)
class _Part:
    """Of a file, as processes map it."""

    offset: str
    device: str
    inode: str
    path: str


_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ (\S+) (\S+) (\S+) *(.*)")


def _mappings(pid: int) -> Iterator[tuple[_Part, int, int]]:
    """Each mapping: of what, how much of it is in memory, and how much of that is its own; kB."""
    part, rss_kb = _Part("", "", "", ""), 0
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss":
            rss_kb = int(rest.split()[0])
        elif name == "Anonymous":
            yield part, rss_kb, int(rest.split()[0])
        elif found := _MAPPING.match(line):
            part = _Part(*found.groups())


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
