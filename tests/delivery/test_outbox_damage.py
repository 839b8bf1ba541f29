"""One bit of an outbox flips on the disk, wherever it is: the agent starts, no event comes out
changed, none is lost untold, none that is whole is lost, and no number comes twice.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.decided_tracks import ANA, STRANGER, an_event

from edge_reid.delivery.outbox import Outbox
from edge_reid.delivery.outbox_file import PAGE_BYTES

EVENTS = 12
NEXT = an_event(99)
VERSION_2 = 8 * 63 + 1
"""The one bit of `user_version`, which is 0 without it."""
IS_A_LEAF = 8 * 100 + 3
"""Behind the head of the file, in the kind of its first page."""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: every opening syncs the disk a few times."""
    root = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=root if root.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def closed(memory: Path) -> Path:
    """The folder of an outbox whose agent was stopped."""
    folder = memory / "closed"
    folder.mkdir()
    with Outbox(folder / "outbox.db", max_bytes=1 << 18) as outbox:
        fill(outbox)
    return folder


@pytest.fixture
def killed(memory: Path) -> Path:
    """The folder of an outbox whose agent was killed: all is in the log."""
    folder = memory / "open"
    folder.mkdir()
    with Outbox(folder / "outbox.db", max_bytes=1 << 18) as outbox:
        fill(outbox)
        shutil.copytree(folder, memory / "killed")
    return memory / "killed"


def fill(outbox: Outbox) -> None:
    for track in range(1, EVENTS + 1):
        assert outbox.put(an_event(track, ANA if track % 3 else STRANGER)) == track


def bodies() -> dict[int, str]:
    events = {track: an_event(track, ANA if track % 3 else STRANGER) for track in range(1, 13)}
    return {track: event.payload(track).to_json() for track, event in events.items()}


def after_a_flip(folder: Path, part: str, bit: int) -> tuple[int, int]:
    """Events that are left of an outbox in which that bit flipped, and those told to be lost."""
    copy = folder.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    flip(copy / part, bit)
    with Outbox(copy / "outbox.db", max_bytes=1 << 18) as outbox:
        rows = outbox.pending(limit=1000)
        figures = outbox.figures
        whole = bodies()
        assert [row.body.decode() for row in rows] == [whole[row.seq] for row in rows]
        assert {row.topic.rpartition("/")[0] for row in rows} == {"edge-reid/lab/gate"}
        assert len(rows) == figures.depth
        assert (outbox.put(NEXT) or 0) > EVENTS
    return len(rows), figures.dropped


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def some_bits(size_bytes: int, count: int) -> list[int]:
    return sorted(random.Random(7).sample(range(8 * size_bytes), count))


@pytest.mark.parametrize(
    "step", [29, pytest.param(1, marks=pytest.mark.soak)], ids=["some bits", "every bit"]
)
def test_whichever_bit_of_the_first_page_flips_the_outbox_opens(closed: Path, step: int) -> None:
    """Marks, versions, sizes, the tables themselves: no event lies there."""
    for bit in range(0, 8 * PAGE_BYTES, step):
        left, dropped = after_a_flip(closed, "outbox.db", bit)
        assert (left, dropped) == (EVENTS, 0), f"bit {bit}"


@pytest.mark.parametrize("with_version", [True, False], ids=["its version", "no version"])
def test_an_outbox_whose_tables_cannot_be_seen_is_not_taken_for_a_new_one(
    closed: Path, *, with_version: bool
) -> None:
    """The first page says that the tables are listed in other pages, and names none; in its version
    a second bit may have flipped.
    """
    if not with_version:
        flip(closed / "outbox.db", VERSION_2)
    assert after_a_flip(closed, "outbox.db", IS_A_LEAF) == (EVENTS, 0)


@pytest.mark.parametrize("flips", [150, pytest.param(2000, marks=pytest.mark.soak)])
def test_a_bit_that_flips_among_the_events_costs_one_at_most(closed: Path, flips: int) -> None:
    for bit in some_bits((closed / "outbox.db").stat().st_size, flips):
        left, dropped = after_a_flip(closed, "outbox.db", bit)
        assert left >= EVENTS - 1, f"bit {bit}"
        assert left + dropped >= EVENTS, f"bit {bit}: lost untold"


@pytest.mark.parametrize("flips", [150, pytest.param(2000, marks=pytest.mark.soak)])
def test_a_bit_that_flips_in_the_log_costs_one_at_most(killed: Path, flips: int) -> None:
    """SQLite passes over all that comes after it."""
    log = killed / "outbox.db-wal"
    written = len(log.read_bytes().rstrip(b"\0"))
    for bit in some_bits(written, flips):
        left, dropped = after_a_flip(killed, log.name, bit)
        assert left >= EVENTS - 1, f"bit {bit}"
        assert left + dropped >= EVENTS, f"bit {bit}: lost untold"


@pytest.mark.parametrize("part", ["outbox.db-mark", "outbox.db-reserve"])
def test_a_bit_that_flips_beside_the_outbox_costs_nothing(closed: Path, part: str) -> None:
    for bit in some_bits(min(140, (closed / part).stat().st_size), 40):
        assert after_a_flip(closed, part, bit) == (EVENTS, 0), f"bit {bit}"


@pytest.mark.parametrize("lost", ["emptied", "removed"])
def test_an_outbox_that_lost_its_file_is_not_taken_for_a_new_one(closed: Path, lost: str) -> None:
    path = closed / "outbox.db"
    path.unlink()
    if lost == "emptied":
        path.touch()
    with Outbox(path) as outbox:
        assert outbox.figures.dropped == EVENTS
        assert (outbox.put(NEXT) or 0) > EVENTS


def test_a_log_that_is_gone_is_told(killed: Path) -> None:
    """The file was copied or restored without it: as it was at the last checkpoint."""
    (killed / "outbox.db-wal").unlink()
    with Outbox(killed / "outbox.db") as outbox:
        assert outbox.figures.depth < EVENTS
        assert outbox.figures.depth + outbox.figures.dropped == EVENTS
        assert (outbox.put(NEXT) or 0) > EVENTS
