"""Zones that events tell, and masks in which nobody is detected, on the real clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.area_runs import AreaRuns

from edge_reid.agent.camera_areas import feet
from edge_reid.core.config import load_settings
from edge_reid.core.errors import ConfigError
from edge_reid.core.geometry import Box
from edge_reid.core.polygon import Polygon

LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
TRIANGLE = "{name = 'a', points = [[0, 0], [1, 1], [0, 1]]}"
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
    events = runs.events(zones=zones)
    assert [event | {"zones": None} for event in events] == without, "nothing else has changed"
    for event in events:
        x, y = stands(event)
        expected = [name for name, is_in in (("left", x < 0.5), ("low", y > 0.5)) if is_in]
        assert event["zones"] == expected
    assert len({tuple(event["zones"]) for event in events}) > 1, "people stand in several"


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
    ],
)
def test_areas_that_are_none_are_refused(areas: str, expected: str, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ngallery = "g.db"\n[cameras.gate]\nsource.uri = "0"\n{areas}\n'
    )
    with pytest.raises(ConfigError, match=expected):
        load_settings(config, {})
