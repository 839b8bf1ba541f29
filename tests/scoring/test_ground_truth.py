"""The truth file: what may stand in it, and what is wrong with it, all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import campus

from edge_reid.core.errors import ConfigError
from edge_reid.scoring.ground_truth import GroundTruth, load_truth

LEAST: dict[str, Any] = {
    "frames": 90,
    "fps": 1,
    "people": [{"identity": "anna", "visits": [{"first_frame": 10, "last_frame": 25}]}],
}


def loaded(folder: Path, table: Any) -> GroundTruth:
    path = folder / "truth.json"
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    return load_truth(path)


def mistakes(folder: Path, table: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, table)
    return caught.value.problems


def test_the_labels_of_the_demo_clip_are_a_truth() -> None:
    truth = load_truth(campus.DATA / "campus.json")
    people = {person.identity: person for person in truth.people}
    assert set(people) == {person.identity for person in campus.people()}
    for person in campus.people():
        labels = {row[0] for visit in people[person.identity].visits for row in visit.boxes}
        assert labels == {frame for visit in person.visits for frame in visit.boxes}


def test_the_least_that_the_readme_shows_is_enough() -> None:
    readme = (Path(__file__).parents[2] / "edge_reid/scoring/README.md").read_text()
    truth = GroundTruth.model_validate_json(readme.split("```json\n")[1].split("```")[0])
    assert [person.enrolled for person in truth.people] == [True, False]
    assert truth.frame_at(truth.start_utc_s + 40) == 40


def test_every_key_is_described() -> None:
    readme = (Path(__file__).parents[2] / "edge_reid/scoring/README.md").read_text()
    described = readme.split("## The truth file")[1].split("\n## ")[0]
    person = GroundTruth.model_fields["people"].annotation.__args__[0]
    visit = person.model_fields["visits"].annotation.__args__[0]
    for model in (GroundTruth, person, visit):
        assert [key for key in model.model_fields if key not in described] == []


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    zoned = loaded(tmp_path, {**LEAST, "start_time": "2026-03-01T12:00:00Z"})
    assert loaded(tmp_path, {**LEAST, "start_time": "2026-03-01T12:00:00"}).start_utc_s == (
        zoned.start_utc_s
    )
    assert loaded(tmp_path, LEAST).start_utc_s == 0


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    bad_visits = [
        {"first_frame": 30, "last_frame": 20},
        {"first_frame": 40, "last_frame": 95},
        {"first_frame": 50, "last_frame": 60, "boxes": [[55, 9, 9, 5, 20]]},
        {"first_frame": 70, "last_frame": 80, "boxes": [[10, 1, 1, 5, 20]], "colour": "red"},
    ]
    meeting = [{"first_frame": 1, "last_frame": 9}, {"first_frame": 5, "last_frame": 12}]
    found = mistakes(
        tmp_path,
        {
            "frames": 90,
            "fps": "10",
            "people": [
                {"identity": "anna", "visits": bad_visits},
                {"identity": "anna", "visits": []},
                {"identity": "", "visits": meeting},
                {"identity": "ben", "visits": meeting},
            ],
        },
    )
    for told in (
        "people: expected each identity once, got 'anna' 2 times",
        "fps: expected a number, got '10'",
        "people.0.visits.0: expected a last_frame from 30 on, got 20",
        "people.0.visits.1: expected a last_frame below 90, got 95",
        "people.0.visits.2: expected x1 < x2 and y1 < y2, got others at frame 55",
        "people.0.visits.3.colour: unknown key",
        "people.2.identity",
        "people.3: expected visits one after the other, got 1 to 9 and 5 to 12",
    ):
        assert any(line.startswith(told) for line in found), (told, found)


def test_a_box_outside_of_its_visit_is_a_mistake(tmp_path: Path) -> None:
    visit = {"first_frame": 70, "last_frame": 80, "boxes": [[10, 1, 1, 5, 20], [75, 1, 1, 5, 20]]}
    table = {**LEAST, "people": [{"identity": "anna", "visits": [visit]}]}
    assert mistakes(tmp_path, table) == (
        "people.0.visits.0: expected boxes of frames 70 to 80, got 10",
    )


@pytest.mark.parametrize("text", ["", "{", "[1]", '"truth"', "[" * 100_000, "\x00\x01"])
def test_what_is_no_truth_is_said(tmp_path: Path, text: str) -> None:
    assert mistakes(tmp_path, text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_truth(tmp_path / "none.json")


@pytest.mark.parametrize("people", [5, True, 1.5])
def test_people_that_are_no_list_are_a_mistake(tmp_path: Path, people: object) -> None:
    assert any(
        m.startswith("people: expected a list") for m in mistakes(tmp_path, {"people": people})
    )
