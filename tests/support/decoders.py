"""The decoders of cameras that this process has started."""

from __future__ import annotations

import os
from pathlib import Path


def decoders(agent: int | None = None) -> list[int]:
    """Their process numbers, by rising number.

    Args:
        agent: whose they are; None: this process.
    """
    mine = agent or os.getpid()
    return sorted(pid for pid in _processes() if _parent(pid) == mine and _is_decoder(pid))


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def _is_decoder(pid: int) -> bool:
    try:
        return b"edge_reid.capture.decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
