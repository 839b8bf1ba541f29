"""What this process holds: memory, descriptors, shared memory, decoders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from support.decoders import decoders


@dataclass(frozen=True)
class HeldResources:
    rss_mb: float
    descriptors: int
    """Without sockets: a test's own camera has those."""
    segments: int
    """Of shared memory."""
    decoders: int


def held() -> HeldResources:
    """What it holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    ours = [str(link) for link in links if "socket" not in str(link)]
    segments = sum("memfd" in link for link in ours)
    rss_mb = pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return HeldResources(rss_mb, len(ours), segments, len(decoders()))
