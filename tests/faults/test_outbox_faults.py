"""The outbox when its disk is full, its process is killed, or its machine loses power."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from figures import Figure, record
from sightings import an_event

from edge_reid.messaging.outbox import Outbox


def seqs(outbox: Outbox) -> list[int]:
    return [entry.seq for entry in outbox.pending(limit=100_000)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with one megabyte. Only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here (root only); test_outbox.py limits a file")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_costs_events_that_are_counted_and_then_it_goes_on(
    small_disk: Path,
) -> None:
    ballast = small_disk / "ballast"
    lost = 0
    with Outbox(small_disk / "outbox.db") as outbox:
        before = [outbox.put(an_event(track)) or 0 for track in range(1, 21)]
        ballast.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free))
        assert shutil.disk_usage(small_disk).free == 0
        during = [outbox.put(an_event(track)) for track in range(21, 1021)]
        lost = during.count(None)
        assert lost > 0, "the disk was not full"
        assert outbox.figures.dropped == lost  # counted although nothing can be written
        taken = [seq for seq in during if seq is not None]
        assert seqs(outbox) == [*before, *taken]  # what was taken is readable
        outbox.acknowledge(before)  # may be refused; must not be forgotten

        ballast.unlink()
        after = outbox.put(an_event(2000))
        assert after == 1 + max(*before, *taken), "refused events used up no number"
        outbox.acknowledge([])
        assert seqs(outbox) == [*taken, after]
    with Outbox(small_disk / "outbox.db") as outbox:
        assert seqs(outbox) == [*taken, after]
        assert outbox.figures.dropped == lost
    fault = "disk full (tmpfs of 1 MB); each loss counted in `events_dropped`"
    record(Figure(fault, 1, len(before) + len(during) + 1, lost))


def test_an_outbox_opens_on_a_disk_that_is_full_already(small_disk: Path) -> None:
    with Outbox(small_disk / "outbox.db") as outbox:
        outbox.put(an_event(1))
    (small_disk / "ballast").write_bytes(b"\0" * shutil.disk_usage(small_disk).free)
    with Outbox(small_disk / "outbox.db") as outbox:
        assert seqs(outbox) == [1]
        (small_disk / "ballast").unlink()
        assert outbox.put(an_event(2)) == 2


@pytest.mark.parametrize("kills", [15, pytest.param(200, marks=pytest.mark.soak)])
def test_a_process_killed_at_any_instruction_loses_nothing_it_had_committed(
    tmp_path: Path, kills: int
) -> None:
    """A child puts events and acknowledges some of them, as fast as it can, until kill -9. What it
    said it had done must be so; what it was about to say may be so.
    """
    path, dice = tmp_path / "outbox.db", random.Random(5)
    waiting: set[int] = set()  # committed and not acknowledged, by the children's word
    last_seq = missing = 0
    for _ in range(kills):
        said = _child_killed_after(path, dice.uniform(0.005, 0.08))
        put = {seq for word, seq in said if word == "put"}
        begun = {seq for word, seq in said if word == "will"}  # acknowledged, or about to be
        waiting |= put
        with Outbox(path) as outbox:
            found, figures = seqs(outbox), outbox.figures
            bodies = sum(len(entry.body) for entry in outbox.pending(limit=100_000))
        assert outbox.set_aside is None
        missing += len(waiting - begun - set(found))
        assert missing == 0
        assert found == sorted(set(found))
        assert {seq for seq in found if seq not in waiting} <= {figures.last_seq}
        assert figures.last_seq >= max(put, default=last_seq) >= last_seq
        assert figures.last_seq - max(put, default=last_seq) <= 1
        assert (figures.depth, figures.bytes, figures.dropped) == (len(found), bodies, 0)
        waiting, last_seq = set(found), figures.last_seq
    record(Figure("process killed -9 while it writes its outbox", kills, last_seq, missing))


def _child_killed_after(path: Path, delay_s: float) -> list[tuple[str, int]]:
    """What the child said; every line is one write, so none is torn."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _put_for_ever(path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = [told.readline()]  # it is at work
        _wait(delay_s)
        os.kill(child, signal.SIGKILL)
        lines += told.readlines()
    os.waitpid(child, 0)
    return [(word, int(seq)) for word, seq in (line.split() for line in lines if line)]


def _wait(delay_s: float) -> None:
    import time

    time.sleep(delay_s)


def _put_for_ever(path: Path, writing: int) -> None:
    with Outbox(path) as outbox:
        track = outbox.figures.last_seq
        while True:
            track += 1
            seq = outbox.put(an_event(track))
            os.write(writing, f"put {seq}\n".encode())
            if track % 3 == 0:
                os.write(writing, f"will {track - 1}\n".encode())
                outbox.acknowledge([track - 1])


def test_a_log_torn_anywhere_by_a_power_cut_leaves_a_whole_beginning(tmp_path: Path) -> None:
    """What had reached the disk when the power went: the log, cut off at every length in turn. The
    outbox opens with the first so many events, none of them torn, and none beyond a missing one.
    """
    path, copy = tmp_path / "outbox.db", tmp_path / "copy.db"
    with Outbox(path) as outbox:
        for track in range(1, 9):
            outbox.put(an_event(track))
        base, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    kept = []
    lengths = range(0, len(log) + 1, 509)  # a prime, so that it cuts pages everywhere
    for length in lengths:
        for leftover in tmp_path.glob("copy.db*"):
            leftover.unlink()
        copy.write_bytes(base)
        Path(f"{copy}-wal").write_bytes(log[:length])
        with Outbox(copy) as outbox:
            assert outbox.set_aside is None
            found = [entry.body for entry in outbox.pending()]
            assert found == [
                an_event(n).payload(n).to_json().encode() for n in range(1, len(found) + 1)
            ]
            assert outbox.put(an_event(99)) == len(found) + 1
        kept.append(len(found))
    assert kept == sorted(kept)
    assert kept[-1] >= 7
    record(Figure("power cut while the log is written, cut at every length", len(lengths)))
