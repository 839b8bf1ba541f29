from __future__ import annotations

import json
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support import campus
from support.decided_tracks import STRANGER, an_event

from edge_reid.core.errors import OutboxError
from edge_reid.delivery.outbox import LINGER_S, Outbox
from edge_reid.delivery.outbox_file import OUTBOX
from edge_reid.delivery.outbox_tables import OutboxTables


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def seqs(outbox: Outbox) -> list[int]:
    return [entry.seq for entry in outbox.pending(limit=10_000)]


def test_what_is_put_waits_in_order_until_it_is_acknowledged(path: Path) -> None:
    with Outbox(path) as outbox:
        assert [outbox.put(an_event(track)) for track in (1, 2, 3)] == [1, 2, 3]
        assert seqs(outbox) == [1, 2, 3]
        assert [entry.seq for entry in outbox.pending(after_seq=1, limit=1)] == [2]
        outbox.acknowledge([1, 3])
        assert seqs(outbox) == [2]


def test_an_entry_is_the_payload_with_its_number(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(an_event(1))
        outbox.put(an_event(2))
        entry = outbox.pending()[1]
    assert entry.topic == "edge-reid/lab/gate/hit"
    assert entry.body.decode() == an_event(2).payload(2).to_json()


def test_it_outlives_the_process_and_goes_on_counting(path: Path) -> None:
    with Outbox(path) as outbox:
        for track in (1, 2):
            outbox.put(an_event(track))
        outbox.acknowledge([1, 2])
    with Outbox(path) as outbox:
        assert outbox.put(an_event(3)) == 3
        assert outbox.figures.last_seq == 3


def test_figures_recount_what_is_there(path: Path) -> None:
    with Outbox(path) as outbox:
        for track in range(1, 6):
            outbox.put(an_event(track))
        outbox.acknowledge([2])
        figures, entries = outbox.figures, outbox.pending()
    assert figures.depth == len(entries) == 4
    assert figures.bytes == sum(len(entry.to_bytes()) for entry in entries)
    assert figures.dropped == 0


@pytest.mark.parametrize("max_bytes", [1 << 16, 1 << 18])
def test_beyond_the_byte_cap_the_oldest_go_and_are_counted(path: Path, max_bytes: int) -> None:
    """The cap is about what the disk holds, at its fullest: file, log and all."""
    largest_bytes, count = 0, 2 * max_bytes // 1000
    with Outbox(path, max_bytes=max_bytes) as outbox:
        for track in range(1, count + 1):
            outbox.put(an_event(track))
            largest_bytes = max(largest_bytes, bytes_on_disk(path))
        kept = seqs(outbox)
        assert kept == list(range(count - len(kept) + 1, count + 1))
        assert outbox.figures.dropped == count - len(kept) > 0
    assert 0.8 * max_bytes < largest_bytes <= max_bytes
    with Outbox(path) as outbox:
        assert outbox.figures.dropped == count - len(kept)


def bytes_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


class Stopwatch:
    """A clock that goes only when told to."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_beyond_the_age_cap_the_oldest_go_and_are_counted(path: Path) -> None:
    clock = Stopwatch(1000.0)
    with Outbox(path, max_age_s=60, clock=clock) as outbox:
        outbox.put(an_event(1))
        clock.now_s += 61
        outbox.put(an_event(2))
        assert seqs(outbox) == [2]
        assert outbox.figures.dropped == 1
        clock.now_s += 61  # nothing new is seen, and still the old one goes
        assert seqs(outbox) == []
        assert outbox.figures.dropped == 2


def test_age_counts_over_restarts_of_the_machine(path: Path) -> None:
    clock = Stopwatch(1000.0)
    with Outbox(path, max_age_s=60, clock=clock) as outbox:
        outbox.put(an_event(1))
        clock.now_s += 40
        outbox.put(an_event(2))
    clock = Stopwatch(5.0)  # the machine was started again: its uptime begins anew
    with Outbox(path, max_age_s=60, clock=clock) as outbox:
        outbox.put(an_event(3))
        assert seqs(outbox) == [1, 2, 3]
        clock.now_s += 25
        outbox.put(an_event(4))
        assert seqs(outbox) == [2, 3, 4]


YEAR_S = 365 * 86_400


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S, -50 * YEAR_S])
def test_a_wall_clock_that_jumps_drops_nothing_and_seq_still_rises(
    path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """Events carry the wall clock; neither what they carry nor what it shows now ages them."""
    import time

    now_s = time.time()
    with Outbox(path, max_age_s=60) as outbox:
        outbox.put(an_event(int(now_s)))  # tracks begin `track_id` seconds after the epoch
        monkeypatch.setattr("time.time", lambda: now_s + jump_s)
        monkeypatch.setattr("time.time_ns", lambda: int((now_s + jump_s) * 1e9))
        outbox.put(an_event(max(1, int(now_s + jump_s))))
    with Outbox(path, max_age_s=60) as outbox:
        outbox.put(an_event(3))
        assert seqs(outbox) == [1, 2, 3]
        assert outbox.figures.dropped == 0


def test_a_damaged_outbox_met_with_a_clock_in_the_past_still_counts_upwards(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device without a battery clock wakes up in 1970, and its card is damaged for the second
    time: the numbers of the first replacement came from a clock that was right.
    """
    Outbox(path).close()
    path.write_bytes(b"\xa5" * 8192)
    with Outbox(path) as outbox:
        before = outbox.put(an_event(1))
    path.write_bytes(b"\xa5" * 8192)
    monkeypatch.setattr("time.time_ns", lambda: 60 * 10**9)
    with Outbox(path) as outbox:
        after = outbox.put(an_event(2))
    assert before is not None
    assert after is not None
    assert after > before


def test_an_outbox_of_version_1_is_brought_up_to_date(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in OUTBOX.migrations[0]:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {OUTBOX.application_id}")
    db.execute("PRAGMA user_version = 1")
    db.execute("INSERT INTO ledger (last_seq) VALUES (41)")
    db.close()
    with Outbox(path) as outbox:
        assert outbox.session == ""
        assert outbox.put(an_event(1)) == 42
        outbox.note_session("cafe")
    with Outbox(path) as outbox:
        assert outbox.session == "cafe"
        assert outbox.shown == {"ana"}


def test_a_release_before_0_4_can_go_on_with_the_file(path: Path) -> None:
    """An upgrade may be taken back; that release wants version 2, and knows nothing of `shown`."""
    with Outbox(path) as outbox:
        outbox.put(an_event(1))
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT last_seq, depth, session FROM ledger").fetchone() == (1, 1, "")
        db.execute("DROP TABLE shown")  # and one that it has made is good for us
    with Outbox(path) as outbox:
        assert (seqs(outbox), outbox.shown) == ([1], set())
        outbox.put(an_event(2))
        assert outbox.shown == {"ana"}


def test_ctrl_c_right_after_a_commit_costs_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: OutboxTables) -> None:
        raise KeyboardInterrupt

    with Outbox(path) as outbox:
        with monkeypatch.context() as patch:
            patch.setattr(OutboxTables, "stats", property(interrupt))
            with pytest.raises(KeyboardInterrupt):
                outbox.put(an_event(1))
        assert outbox.put(an_event(2)) == 2
        assert seqs(outbox) == [1, 2]
        assert outbox.figures.depth == 2


@pytest.mark.parametrize("before", [None, 0o644])
def test_nobody_else_may_read_who_was_where(path: Path, before: int | None) -> None:
    if before is not None:
        path.touch(before)
    with Outbox(path) as outbox:
        outbox.put(an_event(1))
        files = list(path.parent.glob("outbox.db*"))
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert len(files) > 1, "the log is there too"


def test_what_is_no_file_is_not_touched(tmp_path: Path) -> None:
    """As root, an agent once set the mode of a device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o644)
    for path, kind in ((pipe, "a pipe"), (tmp_path, "a folder"), (Path("/dev/null"), "a device")):
        before = path.stat().st_mode
        with pytest.raises(OutboxError, match=f"expected a file, got {kind}.*give another path"):
            Outbox(path)
        assert path.stat().st_mode == before


def test_one_process_at_a_time(path: Path) -> None:
    with Outbox(path), pytest.raises(OutboxError, match="is in use by another edge-reid"):
        Outbox(path)


def test_another_database_is_not_touched(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE identities (name TEXT)")
    db.close()
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(OutboxError, match="an outbox, got another kind of file; give another path"):
        Outbox(path)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_newer_outbox_is_not_touched(path: Path) -> None:
    Outbox(path).close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE events ADD COLUMN colour TEXT")
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(OutboxError, match=f"expected format {OUTBOX.format} or older, got 99"):
        Outbox(path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"\x89PNG\r\n\x1a\n" + b"a picture" * 99, campus.CLIP.read_bytes(), b"a word", b"{}\n"),
        bytes(512) + b"a raw picture",
    ],
    ids=["picture", "clip", "word", "JSON", "zeros first"],
)
def test_a_file_of_another_kind_is_refused_and_stays_as_it_is(path: Path, content: bytes) -> None:
    """Nothing beside it and nothing in it says that it was an outbox once."""
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(OutboxError, match="expected an outbox, got another kind of file; give ano"):
        Outbox(path)
    assert [file.name for file in path.parent.iterdir()] == ["outbox.db"]
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("size", [0, 100, 8192])
def test_a_file_that_a_power_cut_left_empty_is_none_of_another_kind(path: Path, size: int) -> None:
    path.write_bytes(bytes(size))
    with Outbox(path) as outbox:
        assert outbox.put(an_event(1)) is not None


def test_a_damaged_database_that_may_be_somebody_elses_is_kept(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No mark says that it was ours, and nothing could be saved: no erasure may take it away."""
    content = b"SQLite format 3\0" + bytes(range(256)) * 40
    path.write_bytes(content)
    with Outbox(path) as outbox:
        assert outbox.wipe()
        assert outbox.quarantined is not None
        assert outbox.quarantined.name.startswith("outbox.db.unreadable-")
        assert outbox.quarantined.read_bytes() == content
        assert outbox.put(an_event(1)) is not None
    assert "look whether it is yours" in caplog.text


def test_a_damaged_outbox_without_its_mark_is_known_by_its_events(path: Path) -> None:
    with Outbox(path) as outbox:
        for track in range(1, 50):
            outbox.put(an_event(track))
    path.with_name("outbox.db-mark").unlink()
    content = path.read_bytes()
    path.write_bytes(content[:16] + b"\xa5" * 1000 + content[1016:])
    with Outbox(path) as outbox:
        assert outbox.quarantined is not None
        assert outbox.quarantined.name.startswith("outbox.db.damaged-")
        assert outbox.figures.depth == 49


def test_an_outbox_without_its_mark_and_its_head_is_known_by_its_events(path: Path) -> None:
    """A power cut zeroed the first sector of one that an older release left, or that was copied."""
    with Outbox(path) as outbox:
        for track in range(1, 50):
            outbox.put(an_event(track))
    path.with_name("outbox.db-mark").unlink()
    content = bytes(512) + path.read_bytes()[512:]
    path.write_bytes(content)
    with Outbox(path) as outbox:
        assert outbox.quarantined is not None
        assert outbox.quarantined.name.startswith("outbox.db.damaged-")
        assert outbox.quarantined.read_bytes() == content
        assert outbox.figures.depth == 49


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="cannot be opened.*check the folder"):
        Outbox(tmp_path / "missing" / "outbox.db")


@pytest.mark.parametrize("damage", ["garbage", "torn page"])
def test_a_damaged_file_is_quarantined_named_and_replaced(path: Path, damage: str) -> None:
    with Outbox(path) as outbox:
        for track in range(1, 50):
            outbox.put(an_event(track))
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        content[:4096] = b"\xa5" * 4096
    else:
        content[2 * 4096 : 5 * 4096] = b"\xa5" * (3 * 4096)
    path.write_bytes(content)

    with Outbox(path) as outbox:
        assert outbox.quarantined is not None
        assert outbox.quarantined.name.startswith("outbox.db.damaged-")
        assert outbox.quarantined.read_bytes() == content
        saved = seqs(outbox)
        assert 30 < len(saved) <= 49, "those that the damage did not touch"
        assert outbox.figures.dropped == 49 - len(saved)
        seq = outbox.put(an_event(50))
        assert seq is not None
        assert seq > 49  # above all that the damaged one may have given out
        assert outbox.put(an_event(51)) == seq + 1


def test_damage_while_running_costs_what_waited_and_no_more(path: Path) -> None:
    with Outbox(path) as outbox:
        for track in range(1, 50):
            outbox.put(an_event(track))
        outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
        outbox._db.execute("PRAGMA shrink_memory")  # else SQLite reads from its own pages
        seq = outbox.put(an_event(50))
        assert seqs(outbox) == [seq]
        assert outbox.quarantined is not None
        assert outbox.figures.dropped == 49


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_events_that_are_counted_and_then_it_goes_on(path: Path) -> None:
    with Outbox(path) as outbox:
        for track in range(1, 11):
            outbox.put(an_event(track))
        with full_disk(Path(f"{path}-wal").stat().st_size):
            during = [outbox.put(an_event(track)) for track in range(11, 1011)]
            taken = 10 + len(during) - during.count(None)
            assert during[-2:] == [None, None]
            assert outbox.figures.dropped == during.count(None)
            assert seqs(outbox) == list(range(1, taken + 1))
            outbox.acknowledge([1])  # may be refused as well, and must not be forgotten
        assert outbox.put(an_event(2000)) == taken + 1
        outbox.acknowledge([2])
        assert seqs(outbox) == list(range(3, taken + 2))
    with Outbox(path) as outbox:
        assert outbox.figures.dropped == during.count(None)


def test_an_event_that_cannot_be_sent_is_dropped_and_counted(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(an_event(1))
        outbox.discard(1)
        assert outbox.figures.depth == 0
        assert outbox.figures.dropped == 1


def test_whose_state_the_broker_keeps_is_known_until_it_is_cleared(path: Path) -> None:
    with Outbox(path) as outbox:
        for track in (1, 2):
            outbox.put(an_event(track))
        outbox.put(an_event(3, STRANGER))
        assert outbox.shown == {"ana"}
        outbox.note_shown(["ben", "zoe"])
        outbox.forget_shown(frozenset({"ben"}))
        outbox.acknowledge([1, 2, 3])
    with Outbox(path) as outbox:
        assert outbox.shown == {"ana", "zoe"}


def test_damage_while_running_does_not_forget_whose_state_the_broker_keeps(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(an_event(1))
        outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.write_bytes(b"\xa5" * path.stat().st_size)
        outbox._db.execute("PRAGMA shrink_memory")  # else SQLite reads from its own pages
        outbox.put(an_event(2, STRANGER))
        assert outbox.quarantined is not None
    with Outbox(path) as outbox:
        assert outbox.shown == {"ana"}


def test_a_full_disk_forgets_whose_state_was_cleared_at_the_next_start(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(an_event(1))
        with full_disk(Path(f"{path}-mark").stat().st_size):
            outbox.note_shown(["ben"])
            assert outbox.shown == {"ana", "ben"}
            outbox.forget_shown(frozenset({"ana", "ben"}))
            assert outbox.shown == set()
    with Outbox(path) as outbox:
        assert outbox.shown == {"ana"}, "to be cleared once more"


def test_names_leave_the_file_with_their_events_and_their_states(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(an_event(1))
        outbox.acknowledge([1])
    assert b'"ana"' not in path.read_bytes()
    with Outbox(path) as outbox:
        outbox.forget_shown(frozenset({"ana"}))
    assert b"ana" not in path.read_bytes()
    assert json.loads(an_event(1).payload(1).to_json())["identity"] == "ana"


def test_delivered_events_leave_the_file_with_the_next_one_or_a_little_later(
    tmp_path: Path,
) -> None:
    now_s = 0.0
    path = tmp_path / "outbox.db"

    def in_file() -> list[int]:
        # a copy, since an outbox lets nobody else in
        for part in tmp_path.glob("outbox.db*"):
            (tmp_path / part.name.replace("outbox", "copy")).write_bytes(part.read_bytes())
        with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
            return [seq for (seq,) in db.execute("SELECT seq FROM events ORDER BY seq")]

    with Outbox(path, clock=lambda: now_s) as outbox:
        outbox.put(an_event(1))
        outbox.acknowledge([1])
        assert (in_file(), outbox.pending(), outbox.figures.depth) == ([1], (), 0)
        outbox.put(an_event(2))
        assert (in_file(), [it.seq for it in outbox.pending()]) == ([2], [2])
        outbox.acknowledge([2])
        now_s = LINGER_S
        outbox.tidy()
        assert (in_file(), outbox.figures.depth) == ([], 0)
        outbox.put(an_event(3))
        outbox.acknowledge([3])
    assert in_file() == [], "and at the end of a run at once"


def test_delivered_events_do_not_hide_those_that_wait(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        seqs = [outbox.put(an_event(track)) for track in range(1, 8)]
        outbox.acknowledge(seqs[:5])
        assert [it.seq for it in outbox.pending(0, limit=2)] == seqs[5:7]
        assert outbox.figures.depth == 2
