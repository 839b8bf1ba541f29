"""How many threads an inference should have on this machine."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

MOST_THREADS = 4
"""Of one inference: small networks gain nothing from more."""


def threads_for_inference(root: Path = Path("/")) -> int:
    """The fast cores that this process may use, `MOST_THREADS` at most and one at least.

    A thread on a slow core of a big.LITTLE processor holds up those on the fast ones, as they wait
    for each other at every layer; and threads beyond the processor time that a container is given
    are stopped in the midst of one.

    Args:
        root: stands for `/`, where the kernel says what there is.
    """
    cores = _allowed_cores()
    speeds = {core: _speed(root, core) for core in cores}
    fast = [core for core in cores if speeds[core] >= 0.75 * max(speeds.values())]
    quota = _quota(root)
    usable = len(fast) if quota is None else min(len(fast), math.floor(quota))
    return max(1, min(usable, MOST_THREADS))


def _allowed_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _speed(root: Path, core: int) -> float:
    """A measure of one core against the others of its machine; 1.0 where nobody says."""
    folder = root / f"sys/devices/system/cpu/cpu{core}"
    for file in (folder / "cpu_capacity", folder / "cpufreq/cpuinfo_max_freq"):
        with suppress(OSError, ValueError):
            return float(file.read_text(encoding="ascii"))
    return 1.0


def _quota(root: Path) -> float | None:
    """Cores' worth of processor time that the control group may use; None: no limit is set."""
    with suppress(OSError, ValueError):
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else float(quota) / float(period)
    folder = root / "sys/fs/cgroup/cpu"
    with suppress(OSError, ValueError):
        quota_us = float((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period_us = float((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota_us / period_us if quota_us > 0 else None
    return None
