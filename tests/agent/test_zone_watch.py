"""Who enters, leaves and loiters in zones, and crosses lines, as far as tracks tell it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_reid.agent.camera_areas import CameraAreas, TripLine, Zone
from edge_reid.agent.zone_watch import ZoneWatch
from edge_reid.core.crossing import CrossingLine
from edge_reid.core.geometry import Box
from edge_reid.core.polygon import Polygon
from edge_reid.core.types import Track, ZoneChange

SIZE_PX = (1000, 1000)
HEIGHT_PX = 100.0
BORDER_PX = 10.0
"""A tenth of the height."""
DESK = Zone("desk", Polygon(((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))), loitering_s=5.0)
LEFT = Zone("left", Polygon(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))))
DOOR = TripLine("door", CrossingLine((0.5, 0.2), (0.5, 0.8)), frozenset({1, -1}))
"""From top to bottom: to its right is the left of the picture."""


class Visits:
    """What is known of visits, as a test says."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}
        self.undecided: set[int] = set()
        self.expected: set[int] = set()

    def visit_of(self, track_id: int) -> int:
        return self.of.get(track_id, track_id)

    def is_undecided(self, track_id: int) -> bool:
        return track_id in self.undecided

    def awaited(self, now_utc_s: float) -> frozenset[int]:
        assert now_utc_s >= 0
        return frozenset(self.expected)


def track(number: int, x: float, y: float, at_s: float, *, is_seen: bool = True) -> Track:
    """Somebody who stands at this pixel."""
    box = Box(x - 20, y - HEIGHT_PX, x + 20, y)
    return Track(number, box, 0.9, is_seen, 0.0, at_s)


class Scene:
    """A watch of zones, a look a second."""

    def __init__(self, *zones: Zone, lines: tuple[TripLine, ...] = ()) -> None:
        self.visits = Visits()
        self.watch = ZoneWatch(CameraAreas(zones=zones, lines=lines), self.visits)
        self.now_s = 0.0

    def look(
        self, places: dict[int, tuple[float, float]], lost: dict[int, float] | None = None
    ) -> list[str]:
        """What is told when people stand here, by track; of those who are lost, since when."""
        self.now_s += 1.0
        tracks = [track(number, x, y, self.now_s) for number, (x, y) in places.items()]
        tracks += [
            track(number, 0, 0, at_s, is_seen=False) for number, at_s in (lost or {}).items()
        ]
        return said(self.watch.look(tracks, SIZE_PX, self.now_s, self.now_s))

    def walk(self, xs: Iterable[float], y: float = 500.0, number: int = 1) -> list[str]:
        """What is told while somebody walks along."""
        return [line for x in xs for line in self.look({number: (x, y)})]


def said(changes: Iterable[ZoneChange]) -> list[str]:
    """`3 entered desk`: the track, what it did, and where; of a line with the direction."""
    lines = []
    for each in changes:
        assert each.at_utc_s <= each.decided_utc_s
        visit = f"{each.track.track_id}" + (f"={each.continues}" if each.continues else "")
        lines.append(f"{visit} {each.type.value} {each.area} {each.direction or ''}".rstrip())
    return lines


def test_who_walks_through_enters_and_leaves() -> None:
    assert Scene(DESK).walk([100, 300, 500, 700, 900]) == ["1 entered desk", "1 left desk"]


def test_somebody_who_stands_on_the_border_does_not_flap() -> None:
    scene = Scene(DESK)
    on_the_border = [200 + 9 * math.sin(look) for look in range(100)]
    assert scene.walk([100, *on_the_border]) == []
    assert scene.walk([300, *on_the_border[:3]]) == ["1 entered desk"]
    assert set(scene.walk(on_the_border)) == {"1 loitering desk"}, "they are in it all the time"
    assert scene.walk([150]) == ["1 left desk"]


@given(st.lists(st.floats(-BORDER_PX + 0.01, BORDER_PX - 0.01), max_size=30), st.booleans())
def test_no_jitter_within_the_border_is_ever_told(jitter: list[float], is_in: bool) -> None:
    scene = Scene(Zone("desk", DESK.area))
    told = scene.walk([300.0 if is_in else 100.0, *(200 + each for each in jitter)])
    assert told == (["1 entered desk"] if is_in else [])


def test_who_first_appears_on_the_border_is_where_they_stand() -> None:
    assert Scene(DESK).look({1: (205, 500), 2: (195, 500)}) == ["1 entered desk"]


def test_a_zone_narrower_than_a_border_is_entered_too() -> None:
    strip = Zone("strip", Polygon(((0.495, 0.0), (0.505, 0.0), (0.505, 1.0), (0.495, 1.0))))
    told = Scene(strip).walk([400, 470, 500, 530, 600])
    assert told == ["1 entered strip", "1 left strip"]


def test_the_edge_of_the_picture_is_no_border() -> None:
    """Whoever is cut off by the lower edge stands at it, and is well within."""
    low = Zone("low", Polygon(((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))))
    scene = Scene(low)
    assert scene.look({1: (500, 400)}) == []
    assert scene.look({1: (500, 1200)}) == ["1 entered low"]
    whole = Zone("whole", Polygon(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))))
    assert Scene(whole).walk([-50, 5, 995, 1050]) == ["1 entered whole"]


def test_who_stays_too_long_loiters_once_a_stay() -> None:
    scene = Scene(DESK)
    told = [scene.look({1: (500, 500)}) for _ in range(12)]
    assert told == [["1 entered desk"], [], [], [], [], ["1 loitering desk"], *[[]] * 6]
    assert scene.walk([900, 500]) == ["1 left desk", "1 entered desk"]
    assert scene.walk([500] * 5) == ["1 loitering desk"]


def test_times_are_those_at_which_it_happened() -> None:
    scene = Scene(DESK)
    scene.look({1: (500, 500)})
    scene.now_s = 5.0
    (loitering,) = scene.watch.look([track(1, 500, 500, 6.5)], SIZE_PX, 6.5, 6.6)
    assert (loitering.entered_utc_s, loitering.at_utc_s, loitering.decided_utc_s) == (1, 6.5, 6.6)
    scene.visits.expected = {1}
    assert scene.watch.look([], SIZE_PX, 7.0, 7.0) == ()
    scene.visits.expected = set()
    (left,) = scene.watch.look([], SIZE_PX, 17.0, 17.1)
    assert (left.entered_utc_s, left.at_utc_s, left.decided_utc_s) == (1, 6.5, 17.1)


def test_a_track_that_continues_another_one_does_not_enter_again() -> None:
    scene = Scene(DESK)
    scene.look({1: (500, 500)})
    assert scene.look({}, lost={1: 1.0}) == []
    scene.visits.expected, scene.visits.undecided = {1}, {2}
    assert scene.look({2: (550, 500)}) == [], "it may be the one who was lost"
    scene.visits.of, scene.visits.undecided, scene.visits.expected = {2: 1}, set(), set()
    assert scene.look({2: (560, 500)}) == []
    assert scene.look({2: (560, 500)}) == []
    assert scene.look({2: (560, 500)}) == ["2=1 loitering desk"], "since the first came"
    assert scene.look({2: (900, 500)}) == ["2=1 left desk"]


def test_somebody_else_is_told_with_the_time_at_which_they_came() -> None:
    scene = Scene(Zone("desk", DESK.area))
    scene.look({1: (500, 500)})
    scene.visits.expected, scene.visits.undecided = {1}, {2}
    assert scene.look({2: (550, 500)}) == []
    assert scene.look({2: (550, 500)}) == []
    scene.visits.undecided = set()
    (entered,) = scene.watch.look([track(2, 550, 500, 4.0)], SIZE_PX, 4.0, 4.0)
    assert said([entered]) == ["2 entered desk"]
    assert (entered.at_utc_s, entered.decided_utc_s) == (2.0, 4.0)
    scene.now_s, scene.visits.expected = 14.0, set()
    assert scene.look({2: (550, 500)}) == ["1 left desk"]


def test_who_has_left_again_while_that_was_open_is_told_whole() -> None:
    scene = Scene(DESK)
    scene.look({1: (500, 500)})
    scene.visits.expected, scene.visits.undecided = {1}, {2}
    assert scene.look({2: (550, 500)}) == []
    assert scene.look({2: (950, 500)}) == ["2 entered desk", "2 left desk"]


def test_who_comes_out_elsewhere_has_left() -> None:
    scene = Scene(DESK)
    scene.look({1: (500, 500)})
    scene.visits.expected, scene.visits.undecided = {1}, {2}
    assert scene.look({2: (900, 500)}) == []
    scene.visits.of, scene.visits.undecided = {2: 1}, set()
    assert scene.look({2: (900, 500)}) == ["2=1 left desk"]


def test_two_who_swapped_tracks_are_where_they_are() -> None:
    scene = Scene(Zone("desk", DESK.area))
    assert scene.look({1: (500, 500), 2: (900, 500)}) == ["1 entered desk"]
    scene.visits.of = {1: 2, 2: 1}
    assert scene.look({1: (500, 500), 2: (900, 500)}) == ["2=1 left desk", "1=2 entered desk"]
    assert scene.look({1: (500, 500), 2: (900, 500)}) == []


def test_two_who_swapped_tracks_at_a_line_have_crossed_it() -> None:
    """Each came back out as the other: by their tracks they had turned round."""
    scene = Scene(lines=(DOOR,))
    assert scene.look({1: (300, 500), 2: (700, 500)}) == []
    scene.visits.of = {1: 2, 2: 1}
    told = scene.look({1: (300, 500), 2: (700, 500)})
    assert told == ["2=1 crossed door out", "1=2 crossed door in"]


def test_a_track_that_shows_another_person_is_another_visit() -> None:
    scene = Scene(Zone("desk", DESK.area))
    scene.visits.of = {2: 1}
    assert scene.look({2: (500, 500)}) == ["2=1 entered desk"]
    scene.visits.of = {}
    assert scene.look({2: (500, 500)}) == ["2=1 left desk", "2 entered desk"]


def test_all_leave_at_the_end() -> None:
    scene = Scene(DESK, LEFT)
    scene.look({1: (300, 500), 3: (900, 500)})
    assert said(scene.watch.finish(SIZE_PX, 9.0)) == ["1 left desk", "1 left left"]
    assert scene.watch.finish(SIZE_PX, 9.0) == ()
    assert scene.look({1: (300, 500)}) == ["1 entered desk", "1 entered left"], "and come anew"


def test_a_line_tells_the_direction() -> None:
    scene = Scene(lines=(DOOR,))
    assert scene.walk([300, 450, 550, 700]) == ["1 crossed door out"]
    assert scene.walk([700, 550, 450, 300]) == ["1 crossed door in"]


@pytest.mark.parametrize(
    ("sides", "told"), [({1}, ["1 crossed door in"]), ({-1}, ["1 crossed door out"])]
)
def test_one_direction_alone_may_be_told(sides: set[int], told: list[str]) -> None:
    line = TripLine("door", DOOR.way, frozenset(sides))
    assert Scene(lines=(line,)).walk([300, 700, 300]) == told


def test_who_stands_on_a_line_does_not_cross_it() -> None:
    scene = Scene(lines=(DOOR,))
    on_the_line = [500 + 9 * math.sin(look) for look in range(50)]
    assert scene.walk([300, *on_the_line, 300]) == []
    assert scene.walk([*on_the_line, 700]) == ["1 crossed door out"]


def test_who_walks_round_the_end_of_a_line_does_not_cross_it() -> None:
    scene = Scene(lines=(DOOR,))
    assert [*scene.walk([300, 400], y=900), *scene.walk([600, 700], y=900)] == []
    assert scene.walk([700, 300], y=700) == ["1 crossed door in"]


def test_who_was_out_of_sight_at_a_line_has_crossed_it() -> None:
    scene = Scene(lines=(DOOR,))
    scene.walk([300, 400])
    scene.visits.expected, scene.visits.undecided = {1}, {2}
    assert scene.look({2: (600, 500)}) == []
    scene.visits.of, scene.visits.undecided = {2: 1}, set()
    assert scene.look({2: (700, 500)}) == ["2=1 crossed door out"]
    assert scene.look({2: (300, 500)}) == ["2=1 crossed door in"]
