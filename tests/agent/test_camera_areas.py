"""Zones that events tell, and masks in which nobody is detected, on the real clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.area_runs import AreaRuns

from edge_reid.agent.camera_areas import feet
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError
from edge_reid.core.geometry import Box
from edge_reid.core.polygon import Polygon
from edge_reid.wire.payloads import utc_s
from edge_reid.wire.schemas import json_schemas

LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
TRIANGLE = "{name = 'a', points = [[0, 0], [1, 1], [0, 1]]}"
LINE = "{name = 'a', points = [[0, 0], [1, 1]]}"
LOW = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> AreaRuns:
    return AreaRuns(tmp_path_factory.mktemp("areas"))


def stands(event: dict[str, Any]) -> tuple[float, float]:
    """Where the person stands, in shares of the picture."""
    (x1, _, x2, y2), (width, height) = event["box"], event["frame_size"]
    return (x1 + x2) / 2 / width, min(y2 / height, 0.999)


def test_events_say_in_which_zones_the_feet_are(runs: AreaRuns) -> None:
    without = runs.events()
    assert {event["zones"] for event in without} == {None}
    zones = [{"name": "left", "points": LEFT}, {"name": "low", "points": LOW}]
    told = runs.events(zones=zones)
    events = [event for event in told if event["schema"] != "edge-reid.zone/1"]
    numbered = zip(events, without, strict=True)
    assert [event | {"zones": None, "seq": old["seq"]} for event, old in numbered] == without, (
        "nothing else has changed"
    )
    for event in events:
        x, y = stands(event)
        expected = [name for name, is_in in (("left", x < 0.5), ("low", y > 0.5)) if is_in]
        assert event["zones"] == expected
    assert len({tuple(event["zones"]) for event in events}) > 1, "people stand in several"


def test_whoever_enters_a_zone_leaves_it_and_crosses_the_line_before_it(runs: AreaRuns) -> None:
    """The line is the border of the zone, so that each who comes in over it crosses it."""
    line = {"name": "middle", "points": [[0.5, 0], [0.5, 1]]}
    areas = {"zones": [{"name": "left", "points": LEFT, "loitering_s": 2.0}], "lines": [line]}
    told = runs.events(**areas)
    assert told == runs.events(**areas), "the same in every run"
    assert [event["seq"] for event in told] == [*range(1, len(told) + 1)]
    events = [event for event in told if event["schema"] == "edge-reid.zone/1"]
    for event in events:
        jsonschema.validate(event, json_schemas()[event["schema"]])
    by_visit: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        by_visit.setdefault(event["continues"] or event["track_id"], []).append(event)
    crossed = 0
    for visit in by_visit.values():
        stay = [event for event in visit if event["zone"]]
        entered, left = stay[0], stay[-1]
        assert [stay[0]["type"], stay[-1]["type"]] == ["entered", "left"]
        assert left["entered_at"] == entered["at"]
        assert stands(entered)[0] < 0.5
        stayed_s = utc_s(left["decided_at"]) - utc_s(entered["at"])
        loitering = [event for event in stay if event["type"] == "loitering"]
        assert len(stay) == 2 + len(loitering)
        assert len(loitering) == (stayed_s >= 2.2)
        assert all(utc_s(each["at"]) - utc_s(entered["at"]) >= 2.0 for each in loitering)
        over = [event["direction"] for event in visit if event["line"]]
        first_s = utc_s(entered["first_seen"])
        assert over == (["in"] if utc_s(entered["at"]) > first_s + 0.5 else [])
        crossed += len(over)
    assert crossed > 1


def test_a_track_that_continues_another_one_does_not_enter_again(tmp_path: Path) -> None:
    """In 14 s from its start somebody is lost in the middle, and comes out as another track."""
    runs = AreaRuns(tmp_path, 0, 14, "copy")
    middle = [[0.3, 0.2], [0.7, 0.2], [0.7, 0.7], [0.3, 0.7]]
    told = runs.events(zones=[{"name": "middle", "points": middle}])
    by_visit: dict[int, list[dict[str, Any]]] = {}
    for event in told:
        if event["schema"] == "edge-reid.zone/1":
            by_visit.setdefault(event["continues"] or event["track_id"], []).append(event)
    for visit in by_visit.values():
        assert [event["type"] for event in visit] == ["entered", "left"] * (len(visit) // 2)
    stays = [visit for visit in by_visit.values() if visit[0]["track_id"] != visit[1]["track_id"]]
    assert stays, "somebody left as another track than they entered"
    for entered, left, *_ in stays:
        assert left["continues"] == entered["track_id"]
        assert left["entered_at"] == entered["at"]


def test_nobody_is_detected_in_a_mask(runs: AreaRuns) -> None:
    everywhere = [stands(event) for event in runs.events()]
    assert any(x < 0.5 for x, _ in everywhere)
    events = runs.events(masks=[{"points": LEFT}])
    assert events
    assert all(stands(event)[0] >= 0.5 for event in events)


def test_what_moves_in_a_mask_does_not_wake_the_detector(runs: AreaRuns) -> None:
    assert runs.summary().detections_run > 20
    everywhere = [[0, 0], [1, 0], [1, 1], [0, 1]]
    masked = runs.summary(masks=[{"points": everywhere}])
    assert masked.detections_run == 1, "for the first picture, of which nothing is known"


def test_a_polygon_with_a_bay_holds_what_lies_in_it() -> None:
    bay = Polygon(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.2), (0.0, 1.0)))
    inside = {(0.5, 0.1): True, (0.5, 0.5): False, (0.05, 0.8): True, (0.95, 0.8): True}
    assert {point: bay.contains(point) for point in inside} == inside


def test_who_is_cut_off_by_the_lower_edge_stands_at_it() -> None:
    low = Polygon(tuple((x, y) for x, y in LOW))
    assert low.contains(feet(Box(-20, 50, 10, 140), (100, 100)))


@pytest.mark.parametrize(
    ("areas", "expected"),
    [
        ("zones = [{name = 'a', points = [[0, 0], [1, 1]]}]", "zones"),
        ("zones = [{name = 'a', points = [[0, 0], [1, 1], [0, 1.5]]}]", "zones"),
        ("masks = [{name = 'a', points = [[0, 0], [1, 1], [0, 1]]}]", "name"),
        (
            f"zones = [{TRIANGLE}, {TRIANGLE}]",
            "a occurs twice",
        ),
        ("zones = [{name = 'a', points = [[0, 0], [1, 1], [0, 1]], loitering_s = 0}]", "loitering"),
        ("lines = [{name = 'a', points = [[0, 0]]}]", "lines"),
        ("lines = [{name = 'a', points = [[0, 0], [1, 1], [0, 1]]}]", "lines"),
        ("lines = [{name = 'a', points = [[0.5, 1], [0.5, 1]]}]", "should be two ends that differ"),
        ("lines = [{name = 'a', points = [[0, 0], [1, 2]]}]", "lines"),
        ("lines = [{name = 'a b', points = [[0, 0], [1, 1]]}]", "name"),
        ("lines = [{name = 'a', points = [[0, 0], [1, 1]], direction = 'up'}]", "direction"),
        (f"lines = [{LINE}, {LINE}]", "a occurs twice"),
    ],
)
def test_areas_that_are_none_are_refused(areas: str, expected: str, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ngallery = "g.db"\n[cameras.gate]\nsource.uri = "0"\n{areas}\n'
    )
    with pytest.raises(ConfigError, match=expected):
        load_settings(config, {})
