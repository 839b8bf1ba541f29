"""What several processes hold together counts once what they share."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support.process_tree import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

MB = 10**6
OWN_MB, SHARED_MB = 30, 20
HOLDS = """
import mmap, sys
own = bytearray(b"x") * int(sys.argv[2])
shared = mmap.mmap(int(sys.argv[1]), 0)
shared[:] = b"x" * len(shared)
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def holders(count: int, own_mb: int = OWN_MB) -> Iterator[list[int]]:
    """Processes that have written so much each, and into the same shared memory."""
    descriptor = os.memfd_create("shared")
    os.truncate(descriptor, SHARED_MB * MB // mmap.PAGESIZE * mmap.PAGESIZE)
    command = [sys.executable, "-c", HOLDS, str(descriptor), str(own_mb * MB)]
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
        started = []
        for _ in range(count):
            holder = stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=[descriptor],
                )
            )
            assert holder.stdout
            holder.stdout.readline()
            started.append(holder)
        yield [holder.pid for holder in started]
        for holder in started:
            holder.kill()


def test_what_each_has_written_counts_for_each_and_what_they_share_once() -> None:
    with holders(1, own_mb=0) as pids:
        bare = memory(pids)
    with holders(3) as pids:
        three = memory(pids)
    python_mb = bare.own_mb - SHARED_MB
    assert three.own_mb == pytest.approx(3 * (python_mb + OWN_MB) + SHARED_MB, rel=0.05)
    assert three.files_mb == pytest.approx(bare.files_mb, rel=0.1)
    assert three.all_mb == three.own_mb + three.files_mb


def test_it_is_the_same_whoever_else_runs() -> None:
    with holders(1) as pids:
        alone = memory(pids)
        with holders(4):
            beside = memory(pids)
    assert beside.all_mb == pytest.approx(alone.all_mb, rel=0.02)


def test_who_is_gone_holds_nothing() -> None:
    with holders(1) as pids:
        pass
    assert memory(pids).all_mb == 0
