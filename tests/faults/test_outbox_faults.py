"""The outbox when its disk is full, its process is killed, or its machine loses power."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.decided_tracks import an_event
from support.fault_figures import Figure, record

from edge_reid.delivery import outbox_file
from edge_reid.delivery.outbox import Outbox
from edge_reid.storage.soundness import migrate
from edge_reid.storage.sqlite import transaction


def seqs(outbox: Outbox) -> list[int]:
    return [entry.seq for entry in outbox.pending(limit=100_000)]


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with some megabytes. Only root may mount one."""
    folder, memory = tmp_path / "disk", Path("/dev/shm")
    image = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else tmp_path)) / "image"
    folder.mkdir()
    if request.param == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    else:
        image.write_bytes(b"\0" * (2 << 20))
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=False)
        mount = ["mount", "-o", "loop", str(image), str(folder)]
    try:
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip(
                f"no small {request.param} can be mounted here (root only); test_outbox.py limits a"
                " file"
            )
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
    finally:
        shutil.rmtree(image.parent)


def fill(disk: Path) -> Path:
    """Leave no room at all; whoever wants it again deletes the file."""
    ballast = disk / f"ballast-{len(list(disk.iterdir()))}"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\1" * size) == size:
                    pass
    return ballast


def test_a_disk_that_is_really_full_costs_events_that_are_counted_and_then_it_goes_on(
    small_disk: Path, request: pytest.FixtureRequest
) -> None:
    lost = 0
    with Outbox(small_disk / "outbox.db") as outbox:
        before = [outbox.put(an_event(track)) or 0 for track in range(1, 21)]
        ballast = fill(small_disk)
        during = [outbox.put(an_event(track)) for track in range(21, 1021)]
        lost = during.count(None)
        assert 0 < lost < 1000
        assert outbox.figures.dropped == lost  # counted although nothing can be written
        taken = [seq for seq in during if seq is not None]
        assert seqs(outbox) == [*before, *taken]  # what was taken is readable
        outbox.acknowledge(before)

        ballast.unlink()
        after = outbox.put(an_event(2000))
        assert after == 1 + max(*before, *taken), "refused events used up no number"
        outbox.acknowledge([])
        assert seqs(outbox) == [*taken, after]
    with Outbox(small_disk / "outbox.db") as outbox:
        assert seqs(outbox) == [*taken, after]
        assert outbox.figures.dropped == lost
    fault = f"disk full ({request.node.callspec.id}); each loss counted in `events_dropped`"
    record(Figure(fault, 1, len(before) + len(during) + 1, lost))


def test_an_outbox_opens_on_a_disk_that_is_full_already(small_disk: Path) -> None:
    with Outbox(small_disk / "outbox.db") as outbox:
        outbox.put(an_event(1))
    ballast = fill(small_disk)
    with Outbox(small_disk / "outbox.db") as outbox:
        assert seqs(outbox) == [1]
        outbox.acknowledge([1])
        assert outbox.put(an_event(2)) == 2, "in the place of the first"
        ballast.unlink()
        assert outbox.put(an_event(3)) == 3


def put_until_refused(outbox: Outbox) -> int:
    """How many events were taken."""
    return next(taken for taken in itertools.count() if outbox.put(an_event(taken + 1)) is None)


def deliver_and_refill(outbox: Outbox, disk: Path, *, delivered: int, put: int) -> None:
    """Three times: some events are delivered, fewer come and are all taken; what that leaves free
    on the disk is taken by others.
    """
    fill(disk)
    for _ in range(3):
        outbox.acknowledge(seqs(outbox)[:delivered])
        outbox.tidy()
        assert [outbox.put(an_event(track + 1)) for track in range(put)].count(None) == 0
        fill(disk)


@pytest.mark.parametrize("filled_by", ["itself", "others"])
def test_an_outbox_that_fills_its_disk_takes_events_again_once_some_are_delivered(
    small_disk: Path, filled_by: str
) -> None:
    """And others take every byte that it gives free, so that the disk stays full."""
    path = small_disk / "outbox.db"
    with Outbox(path) as outbox:
        if filled_by == "others":
            fill(small_disk)
        taken = put_until_refused(outbox)
        assert taken > 50
        deliver_and_refill(outbox, small_disk, delivered=60, put=50)
        put_until_refused(outbox)
        outbox.acknowledge(seqs(outbox))
        assert outbox.figures.depth == 0
        assert put_until_refused(outbox) > 50
        lost = outbox.figures.dropped
    fill(small_disk)
    with Outbox(path) as outbox:  # a restart loses no count
        assert outbox.figures.dropped == lost == 3
        outbox.acknowledge(seqs(outbox))
        # Others may have been quicker to the room of the log, which goes with the last connection.
        assert put_until_refused(outbox) > 15


def test_an_outbox_whose_room_others_took_at_a_restart_goes_on_with_what_is_free(
    small_disk: Path,
) -> None:
    path = small_disk / "outbox.db"
    reserve = path.with_name("outbox.db-reserve")
    with Outbox(path) as outbox:
        fill(small_disk)
        assert put_until_refused(outbox) > 50
    reserve.unlink(missing_ok=True)
    fill(small_disk)
    with Outbox(path) as outbox:
        outbox.acknowledge(seqs(outbox))  # and so it can have the room of its own file
        assert put_until_refused(outbox) > 15
        deliver_and_refill(outbox, small_disk, delivered=10, put=8)
        for ballast in small_disk.glob("ballast-*"):
            ballast.unlink()
        assert outbox.put(an_event(1)) is not None
        assert reserve.stat().st_size > 400_000, "as the cap has it"
        assert put_until_refused(outbox) > 100
        outbox.acknowledge(seqs(outbox))
        assert outbox.figures.depth == 0


def test_losses_on_a_full_disk_are_counted_over_a_kill(small_disk: Path) -> None:
    """Nothing can be written into the outbox itself."""
    path = small_disk / "outbox.db"
    with Outbox(path):
        pass
    child = os.fork()
    if child == 0:
        try:
            outbox = Outbox(path)
            put_until_refused(outbox)
            fill(small_disk)
            for track in range(6):
                outbox.put(an_event(track + 1))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Outbox(path) as outbox:
        assert outbox.figures.dropped == 7


def test_an_outbox_of_an_older_release_that_filled_its_disk_is_freed_once_all_is_delivered(
    small_disk: Path,
) -> None:
    """It has no reserve, and a log for which there is no room in the file."""
    path = small_disk / "outbox.db"
    child = os.fork()
    if child == 0:
        try:
            fill_as_release_0_4(path)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    fill(small_disk)
    with Outbox(path) as outbox:
        waiting = seqs(outbox)
        assert len(waiting) > 100
        assert outbox.put(an_event(1)) is None
        outbox.acknowledge(waiting)
        outbox.tidy()
        assert outbox.put(an_event(2)) == waiting[-1] + 1
        assert outbox.shown == {"ana"}
        assert outbox.figures.dropped == 1


def fill_as_release_0_4(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in ("page_size = 1024", "locking_mode = EXCLUSIVE", "journal_mode = WAL"):
        db.execute(f"PRAGMA {statement}")
    outbox_file._create(db)
    with transaction(db):
        migrate(db, outbox_file.OUTBOX)
    db.execute(outbox_file._SHOWN)
    db.execute("INSERT INTO shown VALUES ('ana')")
    with contextlib.suppress(sqlite3.Error):
        for seq in itertools.count(1):
            body = an_event(seq).payload(seq).to_json().encode()
            db.execute("INSERT INTO events VALUES (?, ?, ?, 0.0)", (seq, an_event(seq).topic, body))


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
            bodies = sum(len(entry.to_bytes()) for entry in outbox.pending(limit=100_000))
        assert outbox.quarantined is None
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
        base, log = path.read_bytes(), Path(f"{path}-wal").read_bytes().rstrip(b"\0")
    kept = []
    lengths = range(0, len(log) + 1, 509)  # a prime, so that it cuts pages everywhere
    for length in lengths:
        for leftover in tmp_path.glob("copy.db*"):
            leftover.unlink()
        copy.write_bytes(base)
        Path(f"{copy}-wal").write_bytes(log[:length])
        with Outbox(copy) as outbox:
            assert outbox.quarantined is None
            found = [entry.body for entry in outbox.pending()]
            assert found == [
                an_event(n).payload(n).to_json().encode() for n in range(1, len(found) + 1)
            ]
            assert outbox.put(an_event(99)) == len(found) + 1
        kept.append(len(found))
    assert kept == sorted(kept)
    assert kept[-1] >= 7
    record(Figure("power cut while the log is written, cut at every length", len(lengths)))
