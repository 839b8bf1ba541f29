"""Where hits go, also when a file of them goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support import campus
from support.decided_tracks import MODEL_ID, ORIGIN, a_hit
from support.policies import NO_NAMES, policy_of

from edge_reid.agent.event_lines import EventLines
from edge_reid.agent.event_output import Commit, EventOutput
from edge_reid.agent.policy import PolicyHolder
from edge_reid.core.errors import StoreError, UsageError
from edge_reid.core.types import GallerySnapshot
from edge_reid.matching.index import Index
from edge_reid.wire.events import Event

PICTURE = b"\x89PNG\r\n\x1a\n and no newline"
CLIP = campus.CLIP.read_bytes()[:4096]


def index_of(version: int) -> Index:
    nobody = np.empty((0, 4), np.float32)
    return Index(GallerySnapshot((), np.empty(0, np.int32), nobody, MODEL_ID, version))


@contextmanager
def output_to(where: str, commit: Commit | None = None) -> Iterator[EventOutput]:
    policies = PolicyHolder(policy_of(index_of(3)))
    with EventLines(where) as lines:
        yield EventOutput(ORIGIN, policies, names=NO_NAMES, commit=commit, lines=lines)


def test_every_hit_is_committed_and_written(tmp_path: Path) -> None:
    committed: list[Event] = []
    with output_to(str(tmp_path / "events.jsonl"), committed.append) as output:
        output.write([a_hit(1), a_hit(2)])
        output.write([a_hit(3)])
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600, "its owner's alone"
    written = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [it["seq"] for it in written] == [1, 2, 3]
    assert [it["event_id"] for it in written] == [it.payload(1).event_id for it in committed]


def test_a_full_disk_is_said_once_and_costs_the_broker_nothing() -> None:
    committed: list[Event] = []
    with output_to("/dev/full", committed.append) as output:
        with pytest.raises(StoreError, match="^events file /dev/full: .*No space left on device"):
            output.write([a_hit(1), a_hit(2)])
        output.write([a_hit(3)])
    assert [it.hit.track_id for it in committed] == [1, 2, 3]


def test_a_file_that_cannot_be_made_is_said_before_anything_begins(tmp_path: Path) -> None:
    where = tmp_path / "no folder" / "events.jsonl"
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        EventLines(str(where))


@pytest.mark.parametrize("content", [PICTURE, CLIP], ids=["picture", "clip"])
def test_nothing_is_appended_to_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    where = tmp_path / "holiday"
    where.write_bytes(content)
    with pytest.raises(UsageError, match="expected lines of JSON, got another kind of file; give"):
        EventLines(str(where))
    assert where.read_bytes() == content


def test_what_a_file_holds_is_still_there_after_a_restart(tmp_path: Path) -> None:
    where = tmp_path / "events.jsonl"
    for track_id in (1, 2):
        with output_to(str(where)) as output:
            output.write([a_hit(track_id)])
    written = [json.loads(line) for line in where.read_text().splitlines()]
    assert [it["track_id"] for it in written] == [1, 2]
    assert [it["seq"] for it in written] == [1, 1], "each run counts by itself"


def test_half_a_line_that_a_kill_has_left_harms_no_other(tmp_path: Path) -> None:
    where = tmp_path / "events.jsonl"
    where.write_text('{"schema": "edge-reid.hi')
    with output_to(str(where)) as output:
        output.write([a_hit(1)])
    half, whole = where.read_text().splitlines()
    assert half == '{"schema": "edge-reid.hi'
    assert json.loads(whole)["track_id"] == 1


def test_an_event_names_the_gallery_that_was_in_force_when_it_was_written() -> None:
    committed: list[Event] = []
    policies = PolicyHolder(policy_of(index_of(3)))
    output = EventOutput(ORIGIN, policies, names=NO_NAMES, commit=committed.append, lines=None)
    output.write([a_hit(1)])
    policies.swap(policies.current.with_gallery(index_of(4)))
    output.write([a_hit(2)])
    assert [event.origin.gallery_version for event in committed] == [3, 4]
