"""`edge-reid score`: a camera's events against labels, as an installer types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.decided_tracks import STRANGER, an_event
from support.in_process import edge_reid  # noqa: F401 - a fixture
from support.outcome import Outcome

from edge_reid.consumers.store_urls import open_store

Command = Callable[..., Outcome]
EVENTS = [an_event(track).payload(track) for track in (1, 20)]
EVENTS.append(an_event(30, STRANGER).payload(30))


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Ana is there when track 1 is told, and again when nobody tells her; frames are seconds."""
    visits = [{"first_frame": 1, "last_frame": 10}, {"first_frame": 40, "last_frame": 50}]
    path = tmp_path / "truth.json"
    table = {"frames": 60, "fps": 1, "people": [{"identity": "ana", "visits": visits}]}
    path.write_text(json.dumps(table))
    return path


@pytest.fixture(params=["lines", "sqlite", "postgres"])
def events(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same events in every kind of store."""
    if request.param == "postgres":
        where = request.getfixturevalue("postgres").new_place()
    else:
        where = {"lines": f"{tmp_path}/e.jsonl", "sqlite": f"sqlite:///{tmp_path}/e.db"}[
            request.param
        ]
    store = open_store(where)
    store.write(EVENTS)
    store.close()
    return where


def test_the_figures_are_counted_from_whatever_holds_the_events(
    edge_reid: Command,  # noqa: F811
    events: str,
    truth: Path,
) -> None:
    outcome = edge_reid("score", events, truth, "--json")
    assert outcome.code == 0, outcome.err
    score = json.loads(outcome.out)
    assert (score["hits_right"], score["hits_wrong"], score["precision"]) == (1, 1, 0.5)
    assert (score["missed_visits"], score["wrong_names_per_hour"]) == (1, 60.0)
    assert [visit["delay_s"] for visit in score["visits"]] == [2.0, None]


def test_people_get_a_table_and_what_went_wrong(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
    truth: Path,
) -> None:
    lines = tmp_path / "events.jsonl"
    lines.write_text("".join(event.to_json() + "\n" for event in EVENTS))
    said = edge_reid("score", lines, truth).out
    assert "1 of 2 hits right" in said
    assert "wrong: track 20 shows somebody not labelled, said ana, frame 22" in said
    assert "missed: ana, frames 40 to 50" in said


def test_events_of_two_cameras_need_a_choice(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
    truth: Path,
) -> None:
    lines = tmp_path / "events.jsonl"
    other = EVENTS[0].model_copy(update={"camera": "yard"})
    lines.write_text("".join(event.to_json() + "\n" for event in (*EVENTS, other)))
    complaint = edge_reid("score", lines, truth).complaint
    assert "--camera: expected one of gate, yard, got none" in complaint
    assert edge_reid("score", lines, truth, "--camera", "gate").code == 0
    assert (
        "expected some of door between"
        in edge_reid("score", lines, truth, "--camera", "door").complaint
    )


def test_what_is_no_event_is_said_with_its_lines(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
    truth: Path,
) -> None:
    lines = tmp_path / "events.jsonl"
    lines.write_text(f"hello\n{EVENTS[0].to_json()}\n{{}}\n" + EVENTS[1].to_json()[:50])
    outcome = edge_reid("score", lines, truth)
    assert (outcome.code, "in 2 of 3 lines (1, 3)" in outcome.complaint) == (1, True)


def test_mistakes_of_a_truth_are_told_all_at_once(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text('{"frames": 0, "fps": 0}')
    outcome = edge_reid("score", "none.jsonl", truth)
    assert outcome.code == 2
    assert outcome.err.count("\n  - ") == 3, outcome.err
