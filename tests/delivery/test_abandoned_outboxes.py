"""Outboxes beside ours: an agent that has one open is left alone; what is nobody's is wiped."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.decided_tracks import ANA, an_event
from support.set_clock import Clock

from edge_reid.delivery.abandoned_outboxes import ABANDONED_S, AbandonedOutboxes
from edge_reid.delivery.outbox import Outbox

ZOE = replace(ANA, identity="zoe-quist")
ENROLLED = frozenset({"ana"})


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox-gate.db") as outbox:
        yield outbox


@contextmanager
def a_process_that_has_it_open(path: Path) -> Iterator[None]:
    """It is killed in the end, so that everything stays as it was."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            outbox = Outbox(path)
            for track in range(1, 11):
                outbox.put(an_event(track, ZOE if track % 2 else ANA))
            os.write(tell, b"!")
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    try:
        assert os.read(told, 1) == b"!"
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)


def files_with_her(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir() if b"zoe-quist" in it.read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {it.name: it.read_bytes() for it in folder.iterdir() if "yard" in it.name}


def test_who_works_beside_us_is_left_alone_and_not_waited_for(ours: Outbox, tmp_path: Path) -> None:
    clock = Clock()
    abandoned = AbandonedOutboxes(ours.path, clock=clock)
    with a_process_that_has_it_open(tmp_path / "outbox-yard.db"):
        before = contents(tmp_path)
        for _ in range(2):
            assert abandoned.wipe(ENROLLED, heir=ours)
            clock.now_s += ABANDONED_S
        assert contents(tmp_path) == before
    assert ours.shown == frozenset()


def test_who_was_stopped_has_time_to_come_back_and_nothing_is_confirmed_meanwhile(
    ours: Outbox, tmp_path: Path
) -> None:
    clock, path = Clock(), tmp_path / "outbox-yard.db"
    abandoned = AbandonedOutboxes(ours.path, clock=clock)
    with a_process_that_has_it_open(path):
        assert abandoned.wipe(ENROLLED, heir=ours)
    clock.now_s += 10 * ABANDONED_S
    assert not abandoned.wipe(ENROLLED, heir=ours), "it has stopped only now, for all we know"
    clock.now_s += ABANDONED_S - 1
    assert not abandoned.wipe(ENROLLED, heir=ours)
    assert files_with_her(tmp_path) != []
    clock.now_s += 1
    assert abandoned.wipe(ENROLLED, heir=ours)
    assert files_with_her(tmp_path) == ["outbox-gate.db-wal"], "whose state is to be cleared"
    assert ours.shown == {"zoe-quist"}
    with Outbox(path) as come_back:
        assert [row.seq for row in come_back.pending()] == [2, 4, 6, 8, 10]
        assert (come_back.figures.dropped, come_back.put(an_event(11))) == (5, 11)


def test_one_that_cannot_be_wiped_is_not_passed_over(ours: Outbox, tmp_path: Path) -> None:
    """A newer release has left it here."""
    path = tmp_path / "outbox-yard.db"
    with Outbox(path) as outbox:
        outbox.put(an_event(1, ZOE))
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE ledger ADD COLUMN more TEXT")
        db.execute("PRAGMA user_version = 99")
    abandoned = AbandonedOutboxes(ours.path, after_s=0)
    assert not abandoned.wipe(ENROLLED, heir=ours)
    assert files_with_her(tmp_path) == [path.name]
    path.unlink()
    assert abandoned.wipe(ENROLLED, heir=ours)


def test_our_own_under_a_second_name_is_no_other(ours: Outbox, tmp_path: Path) -> None:
    (tmp_path / "outbox-yard.db").symlink_to(ours.path)
    ours.put(an_event(1, ZOE))
    assert AbandonedOutboxes(ours.path, after_s=0).wipe(ENROLLED, heir=ours)
    assert [row.seq for row in ours.pending()] == [1]
