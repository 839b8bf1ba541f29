"""Who hoards is found out; who does not is not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from support.growth import Series, descriptors, own_mb, threads, watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

LOOKS = 12
WORKS = "import sys\nfor line in sys.stdin: {}; print(flush=True)"
HOARDS = "kept = globals().setdefault('kept', []); kept.append(bytes(range(256)) * 4096)"
FORGETS_TO_CLOSE = "kept = globals().setdefault('kept', []); kept.append(open('/dev/null'))"
TIDY = "bytes(range(256)) * 4096"


def series_of(work: str) -> Series:
    """Of a process that works once before each look."""
    command = [sys.executable, "-c", WORKS.format(work)]
    done: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def work_once() -> None:
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
            done.append(1)

        growth = watched(process.pid, lambda: len(done) < LOOKS, every_s=0.01, meanwhile=work_once)
        process.stdin.close()
    (series,) = growth.series.values()
    assert len(series.held) == LOOKS
    assert growth.counts == [1] * LOOKS
    return series


def test_memory_that_is_kept_is_a_slope() -> None:
    assert series_of(HOARDS).gained(own_mb) == pytest.approx(LOOKS * 1.05, rel=0.3)
    assert series_of(TIDY).gained(own_mb) < 1


def test_its_course_says_that_memory_is_still_kept_at_the_end() -> None:
    course = [float(part) for part in series_of(HOARDS).course(own_mb).split()]
    assert np.diff(course) == pytest.approx([LOOKS / 6 * 1.05] * 5, rel=0.3)


def test_files_that_stay_open_are_a_step() -> None:
    assert series_of(FORGETS_TO_CLOSE).stepped(descriptors) == LOOKS - LOOKS / 3
    tidy = series_of(TIDY)
    assert tidy.stepped(descriptors) == 0
    assert tidy.stepped(threads) == 0
