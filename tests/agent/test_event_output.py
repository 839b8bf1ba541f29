"""Where hits go, also when a file of them goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.decided_tracks import ORIGIN, a_hit

from edge_reid.agent.event_output import EventOutput
from edge_reid.core.errors import StoreError, UsageError
from edge_reid.wire.events import Event


def test_every_hit_is_committed_and_written(tmp_path: Path) -> None:
    committed: list[Event] = []
    with EventOutput(
        ORIGIN, commit=committed.append, lines=str(tmp_path / "events.jsonl")
    ) as herald:
        herald.tell([a_hit(1), a_hit(2)])
        herald.tell([a_hit(3)])
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600, "its owner's alone"
    written = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [it["seq"] for it in written] == [1, 2, 3]
    assert [it["event_id"] for it in written] == [it.payload(1).event_id for it in committed]


def test_a_full_disk_is_said_once_and_costs_the_broker_nothing() -> None:
    committed: list[Event] = []
    with EventOutput(ORIGIN, commit=committed.append, lines="/dev/full") as herald:
        with pytest.raises(StoreError, match="^events file /dev/full: .*No space left on device"):
            herald.tell([a_hit(1), a_hit(2)])
        herald.tell([a_hit(3)])
    assert [it.hit.track_id for it in committed] == [1, 2, 3]


def test_a_file_that_cannot_be_made_is_said_before_anything_begins(tmp_path: Path) -> None:
    where = tmp_path / "no folder" / "events.jsonl"
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        EventOutput(ORIGIN, commit=None, lines=str(where))


def test_what_a_file_holds_is_still_there_after_a_restart(tmp_path: Path) -> None:
    where = tmp_path / "events.jsonl"
    for track_id in (1, 2):
        with EventOutput(ORIGIN, commit=None, lines=str(where)) as herald:
            herald.tell([a_hit(track_id)])
    written = [json.loads(line) for line in where.read_text().splitlines()]
    assert [it["track_id"] for it in written] == [1, 2]
    assert [it["seq"] for it in written] == [1, 1], "each run counts by itself"


def test_half_a_line_that_a_kill_has_left_harms_no_other(tmp_path: Path) -> None:
    where = tmp_path / "events.jsonl"
    where.write_text('{"schema": "edge-reid.hi')
    with EventOutput(ORIGIN, commit=None, lines=str(where)) as herald:
        herald.tell([a_hit(1)])
    half, whole = where.read_text().splitlines()
    assert half == '{"schema": "edge-reid.hi'
    assert json.loads(whole)["track_id"] == 1
