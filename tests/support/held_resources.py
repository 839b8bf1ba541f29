"""What this process holds: memory, descriptors, shared memory, decoders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from support.decoders import decoders
from support.process_tree import holding


@dataclass(frozen=True)
class HeldResources:
    """Without pages of files, which the kernel takes back as it likes."""

    own_mb: float
    rss_mb: float
    descriptors: int
    """Without sockets: a test's own camera has those."""
    segments: int
    """Descriptors of shared memory."""
    decoders: int


def held() -> HeldResources:
    """What it holds now."""
    memory = holding(os.getpid())
    assert memory is not None
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    ours = [str(link) for link in links if "socket" not in str(link)]
    segments = sum("memfd" in link for link in ours)
    return HeldResources(memory.own_mb, memory.rss_mb, len(ours), segments, len(decoders()))
