"""The tracker, told as scenes: who is there, what the detector sees, which tracks come out."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import campus

from edge_reid.capture.open_source import open_source
from edge_reid.core.bundled_models import DETECTOR, shipped_model
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.config.vision_settings import TrackSettings
from edge_reid.core.geometry import Box, iou
from edge_reid.core.types import Detection, Track, TrackUpdate
from edge_reid.vision.detect import load_detector
from edge_reid.vision.track import Tracker

FRAME_SIZE = (640, 480)
LOOK_S = 0.2
"""Between two looks of the detector."""


def person(x: float, y: float = 100, height: float = 120, score: float = 0.9) -> Detection:
    """Somebody standing at x, two fifths as wide as tall."""
    return Detection(Box(x, y, x + 0.4 * height, y + height), score)


def make_tracker(**settings: float) -> Tracker:
    return Tracker(TrackSettings(**settings), strong_score=0.5)


def play(
    tracker: Tracker, looks: Sequence[Sequence[Detection] | None], start_s: float = 0.0
) -> list[TrackUpdate]:
    """One update per look, `LOOK_S` apart."""
    return [
        tracker.update(seen, start_s + index * LOOK_S, FRAME_SIZE)
        for index, seen in enumerate(looks)
    ]


def ids(update: TrackUpdate) -> list[int]:
    return [track.track_id for track in update.active]


def test_a_track_counts_after_three_detections_but_began_with_the_first() -> None:
    tracker = make_tracker(min_detections=3)
    first, second, third = play(tracker, [[person(100)], [person(104)], [person(108)]], 50.0)
    assert (ids(first), ids(second), ids(third)) == ([], [], [1])
    assert third.active[0].first_seen_utc_s == 50.0
    assert third.active[0].last_seen_utc_s == 50.0 + 2 * LOOK_S
    assert third.active[0].observed
    assert tracker.tracks_started == 1


@pytest.mark.parametrize(
    ("score", "beside", "min_detections", "counts_after"),
    [
        (0.75, 300, 2, 1),  # seen clearly, and apart from everybody
        (0.65, 300, 2, 2),  # not seen clearly
        (0.75, 132, 2, 2),  # overlaps somebody: may be the same one
        (0.75, 300, 3, 3),  # the camera's setting asks for more
    ],
)
def test_who_is_seen_clearly_and_stands_apart_counts_at_once(
    score: float, beside: float, min_detections: int, counts_after: int
) -> None:
    tracker = make_tracker(min_detections=min_detections)
    there = [person(100)]
    assert ids(play(tracker, [there] * 4)[-1]) == [1]
    newcomer = person(beside, score=score)
    assert (iou(there[0].box, newcomer.box) > 0) == (beside < 148)
    updates = play(tracker, [[*there, newcomer]] * 4, start_s=4 * LOOK_S)
    expected = [[1]] * (counts_after - 1) + [[1, 2]] * (5 - counts_after)
    assert [ids(update) for update in updates] == expected
    assert updates[-1].active[1].first_seen_utc_s == pytest.approx(4 * LOOK_S)


def test_a_thing_that_looks_a_little_like_a_person_never_becomes_a_track() -> None:
    """A traffic cone: seen for a minute, never with more than the least score that counts."""
    tracker = make_tracker()
    trembling = [[person(100 + index % 5, score=0.52)] for index in range(300)]
    assert all(not update.active for update in play(tracker, trembling))
    assert tracker.tracks_started == 0


def test_who_stands_still_becomes_a_track_with_the_first_sure_look() -> None:
    tracker = make_tracker()
    scores = [0.52, 0.54, 0.53, 0.65, 0.4, 0.4]
    updates = play(tracker, [[person(100, score=score)] for score in scores])
    assert [ids(update) for update in updates] == [[], [], [], [1], [1], [1]]
    assert updates[3].active[0].first_seen_utc_s == 0.0


def test_who_walks_far_away_becomes_a_track_without_a_sure_look() -> None:
    tracker = make_tracker()
    updates = play(tracker, [[person(100 + 12 * index, score=0.52)] for index in range(10)])
    assert ids(updates[-1]) == [1]


def test_tracks_that_may_be_taken_for_each_other_are_named_two_by_two() -> None:
    tracker = make_tracker()
    apart = [[person(100 + 10 * index), person(300)] for index in range(4)]
    assert all(not update.close for update in play(tracker, apart))
    nearer = [[person(100 + 10 * index), person(300)] for index in range(4, 20)]
    updates = play(tracker, nearer, start_s=4 * LOOK_S)
    assert updates[-1].close == ((1, 2),)
    hidden = play(tracker, [[person(300)]], start_s=20 * LOOK_S)[0]
    assert hidden.close == ((1, 2),), "one is hidden behind the other"


def test_a_flash_never_becomes_a_track() -> None:
    tracker = make_tracker(min_detections=3)
    updates = play(tracker, [[person(100)], [], [], [], [person(100)], [person(100)]])
    assert all(not update.active and not update.ended for update in updates)
    assert tracker.flush() == ()


def test_between_looks_the_track_moves_on_by_itself() -> None:
    tracker = make_tracker()
    play(tracker, [[person(100 + 16 * index)] for index in range(10)])
    now_s = 9 * LOOK_S
    between = tracker.update(None, now_s + 0.1, FRAME_SIZE).active[0]
    assert not between.observed
    assert between.last_seen_utc_s == pytest.approx(now_s)
    assert between.box.x1 == pytest.approx(100 + 16 * 9.5, abs=3)


def test_not_looking_is_not_missing() -> None:
    """A detector that runs once in five frames does not lose an unconfirmed track in between."""
    tracker = make_tracker(min_detections=2, max_lost_s=1.0)
    assert ids(tracker.update([person(100, score=0.65)], 0.0)) == []
    for index in range(1, 5):
        tracker.update(None, index * 0.1)
    assert ids(tracker.update([person(102, score=0.65)], 0.5)) == [1]


def test_somebody_behind_a_pillar_keeps_his_number() -> None:
    walk = [[person(100 + 16 * index)] for index in range(20)]
    hidden: list[list[Detection]] = [[] for _ in range(6)]
    updates = play(make_tracker(), [*walk[:8], *hidden, *walk[14:]])
    assert {number for update in updates for number in ids(update)} == {1}
    assert not any(update.ended for update in updates)


def test_who_passes_where_somebody_is_hidden_keeps_their_number() -> None:
    """One stands still and is hidden; another one walks by in front, from right to left."""
    tracker = make_tracker()
    walk = [person(246.0 - 8 * index) for index in range(15)]
    hidden = [[person(158)] if index < 4 else [] for index in range(len(walk))]
    updates = play(tracker, [[*other, seen] for other, seen in zip(hidden, walk, strict=True)])
    observed = [[track.track_id for track in update.active if track.observed] for update in updates]
    assert observed[1:] == [[1, 2]] * 3 + [[2]] * 11


def test_two_people_who_cross_keep_their_numbers() -> None:
    """For three looks the detector sees one wide box where the two are."""

    def look(index: int) -> list[Detection]:
        left, right = person(100 + 16 * index), person(420 - 16 * index)
        if iou(left.box, right.box) < 0.1:
            return [left, right]
        both = Box(min(left.box.x1, right.box.x1), 100, max(left.box.x2, right.box.x2), left.box.y2)
        return [Detection(both, 0.8)]

    updates = play(make_tracker(), [look(index) for index in range(21)])
    assert sum(len(look(index)) == 1 for index in range(21)) == 3
    before = {track.track_id: track.box.x1 for track in updates[5].active}
    after = {track.track_id: track.box.x1 for track in updates[-1].active}
    assert before.keys() == after.keys() == {1, 2}
    walks_right = 1 if before[1] < before[2] else 2
    assert after[walks_right] == max(after.values())


def test_a_weak_detection_continues_a_track_but_starts_none() -> None:
    strong, weak = [person(100)] * 4, [person(100, score=0.3)] * 20
    assert ids(play(make_tracker(), [[each] for each in [*strong, *weak]])[-1]) == [1]
    assert ids(play(make_tracker(), [[each] for each in weak])[-1]) == []


def test_a_weak_detection_must_lie_where_it_is_expected() -> None:
    """Overlapping by a third is enough for a strong one only."""
    still, aside = [[person(100)]] * 5, person(125)
    strong = play(make_tracker(), [*still, [aside]])[-1].active[0]
    weak = play(make_tracker(), [*still, [Detection(aside.box, 0.3)]])[-1].active[0]
    assert (strong.observed, weak.observed) == (True, False)


def test_a_detection_that_covers_two_people_drags_neither_along() -> None:
    """Somebody alone follows his wide box; beside somebody unseen it says little."""
    left, right, wide = person(100), person(150), Detection(Box(100, 100, 198, 220), 0.9)
    alone = play(make_tracker(), [*([[left]] * 6), [wide]])[-1].active[0]
    beside = play(make_tracker(), [*([[left, right]] * 6), [wide]])[-1].active
    (covered,) = [track for track in beside if track.observed]
    start = left if covered.track_id == 1 else right
    moved = abs(covered.box.centre[0] - start.box.centre[0])
    assert 0 < moved < 0.5 * (alone.box.centre[0] - left.box.centre[0])


def test_one_person_detected_twice_is_one_track() -> None:
    updates = play(make_tracker(), [[person(100), person(104, score=0.8)]] * 6)
    assert ids(updates[-1]) == [1]


def test_a_lost_track_ends_once_as_last_seen() -> None:
    looks = [[person(100 + 10 * index)] for index in range(6)] + [[] for _ in range(15)]
    tracker = make_tracker(max_lost_s=1.0)
    updates = play(tracker, looks)
    (ended,) = [track for update in updates for track in update.ended]
    last_seen = updates[5].active[0]
    assert ended == Track(
        1, last_seen.box, 0.9, False, last_seen.first_seen_utc_s, last_seen.last_seen_utc_s
    )
    gave_up_at = next(index for index, update in enumerate(updates) if update.ended)
    assert gave_up_at * LOOK_S - last_seen.last_seen_utc_s == pytest.approx(1.0 + LOOK_S)
    assert tracker.flush() == ()


@pytest.mark.parametrize("direction", [-1, 1])
def test_who_walks_out_of_the_picture_is_given_up_early(direction: int) -> None:
    start = 200 if direction < 0 else 400
    walk = [person(start + direction * 20 * index) for index in range(12)]
    looks = [[Detection(each.box.clipped(*FRAME_SIZE), 0.9)] for each in walk]
    updates = play(make_tracker(max_lost_s=2.0), [*looks, *([[]] * 12)])
    gave_up_at = next(index for index, update in enumerate(updates) if update.ended)
    assert (gave_up_at - 11) * LOOK_S <= 0.8


def test_who_stands_at_the_edge_is_not_given_up_early() -> None:
    looks = [[Detection(Box(0, 100, 48, 220), 0.9)]] * 10
    updates = play(make_tracker(max_lost_s=2.0), [*looks, *([[]] * 9)])
    assert not any(update.ended for update in updates)


def test_after_a_gap_in_the_video_everybody_is_new() -> None:
    tracker = make_tracker()
    play(tracker, [[person(100)]] * 5)
    after = play(tracker, [[person(100)]] * 5, start_s=60.0)
    assert [track.track_id for track in after[0].ended] == [1]
    assert ids(after[-1]) == [2]


def test_a_clock_that_steps_back_neither_loses_nor_keeps_anybody_for_long() -> None:
    tracker = make_tracker(max_lost_s=1.0)
    play(tracker, [[person(100)]] * 5, start_s=5000.0)
    after = play(tracker, [[person(100)], *([[]] * 7)], start_s=1000.0)
    assert [ids(update) for update in after[:2]] == [[1], [1]]
    assert [track.track_id for track in after[-1].ended or after[-2].ended] == [1]


def test_two_updates_at_one_time_are_two_frames() -> None:
    tracker = make_tracker(min_detections=1)
    assert tracker.update([person(100)], 3.0).active[0].observed
    assert not tracker.update(None, 3.0).active[0].observed


def test_flush_ends_everybody_who_was_confirmed() -> None:
    tracker = make_tracker()
    newest = person(250, score=0.65)
    play(tracker, [[person(100), person(400)]] * 4 + [[person(100), person(400), newest]])
    assert [track.track_id for track in tracker.flush()] == [1, 2]
    assert ids(tracker.update([], 2.0)) == []


detections = st.lists(
    st.builds(
        lambda x, y, w, h, score: Detection(Box(x, y, x + w, y + h), score),
        st.floats(0, 600),
        st.floats(0, 440),
        st.floats(0, 200),
        st.floats(0, 400),
        st.floats(0.1, 1.0),
    ),
    max_size=6,
)
scenes = st.lists(
    st.tuples(st.one_of(st.none(), detections), st.floats(0, 1.5)), min_size=1, max_size=30
)


@settings(deadline=None)
@given(scenes)
def test_whatever_is_seen_the_books_are_in_order(
    scene: list[tuple[list[Detection] | None, float]],
) -> None:
    tracker = make_tracker(min_detections=2)
    now_s, gone, newest = 0.0, set[int](), 0
    for seen, elapsed_s in scene:
        now_s += elapsed_s
        update = tracker.update(seen, now_s, FRAME_SIZE)
        active, ended = ids(update), {track.track_id for track in update.ended}
        assert active == sorted(set(active)), "each number once, rising"
        assert not gone & {*active, *ended}, "a number that ended never comes back"
        assert all(number <= tracker.tracks_started for number in active)
        new = [number for number in active if number > newest]
        assert new == list(range(newest + 1, newest + 1 + len(new))), "no number is left out"
        newest, gone = tracker.tracks_started, gone | ended
        for track in update.active:
            edges = (track.box.x1, track.box.y1, track.box.x2, track.box.y2)
            assert all(math.isfinite(edge) for edge in edges)
            assert track.first_seen_utc_s <= track.last_seen_utc_s <= now_s
            assert not track.observed or track.last_seen_utc_s == now_s
    survivors = {track.track_id for track in tracker.flush()}
    assert gone | survivors == set(range(1, tracker.tracks_started + 1))


@settings(deadline=None)
@given(scenes)
def test_the_same_scene_gives_the_same_tracks(
    scene: list[tuple[list[Detection] | None, float]],
) -> None:
    def run(tracker: Tracker) -> list[TrackUpdate]:
        times = [sum(elapsed for _, elapsed in scene[: n + 1]) for n in range(len(scene))]
        return [
            tracker.update(seen, at, FRAME_SIZE) for (seen, _), at in zip(scene, times, strict=True)
        ]

    assert run(make_tracker()) == run(make_tracker())


@pytest.fixture(scope="module")
def first_ten_seconds() -> dict[int, tuple[Track, ...]]:
    """Tracks of the real clip by frame, the detector running on every second one."""
    detector = load_detector(shipped_model(DETECTOR))
    tracker = Tracker(TrackSettings(), strong_score=detector.strong_score)
    tracks = {}
    with open_source(SourceSettings(uri=str(campus.CLIP))) as source:
        for frame in source:
            seen = detector.detect(frame.image) if frame.index % 2 == 0 else None
            update = tracker.update(seen, frame.captured_utc_s, frame.size_px)
            tracks[frame.index] = update.active
            if frame.index == 100:
                return tracks
    raise AssertionError("the clip is shorter than it was")


@pytest.mark.parametrize("name", ["red-sleeves", "fair-hair", "bomber-jacket"])
def test_on_the_real_clip_one_person_is_one_track(
    name: str, first_ten_seconds: dict[int, tuple[Track, ...]]
) -> None:
    (walker,) = campus.people(name)
    labels = {
        frame: box
        for frame, box in walker.visits[0].boxes.items()
        if walker.visits[0].first_frame + 10 <= frame <= 100
    }
    followed = {
        track.track_id
        for frame, box in labels.items()
        for track in first_ten_seconds[frame]
        if iou(track.box, box) > 0.5
    }
    assert len(labels) >= 10
    assert len(followed) == 1


def test_somebody_who_runs_is_one_track_though_no_two_boxes_overlap() -> None:
    """Boxes 48 px wide, 60 px apart: they only overlap when each is half as large again."""
    tracker = make_tracker()
    updates = play(tracker, [[person(60 * step)] for step in range(8)])
    assert {number for update in updates for number in ids(update)} == {1}


def test_somebody_a_step_beside_where_a_track_was_is_not_taken_for_it_while_it_is_seen() -> None:
    tracker = make_tracker()
    updates = play(tracker, [[person(200), person(260)]] * 4)
    assert [ids(update) for update in updates[1:]] == [[1, 2]] * 3


def test_a_track_that_is_told_to_end_is_given_back_as_last_seen_and_never_comes_again() -> None:
    tracker = make_tracker()
    play(tracker, [[person(200), person(400)]] * 3)
    (ended,) = tracker.end({1})
    assert (ended.track_id, round(ended.box.x1)) == (1, 200)
    (_, again) = play(tracker, [[person(200), person(400)]] * 2, start_s=3 * LOOK_S)
    assert ids(again) == [2, 3]
    assert tracker.end({1}) == ()


def test_a_track_says_when_it_walks_out_of_the_picture() -> None:
    tracker = make_tracker()
    way = [20 * step for step in range(10, -1, -1)]
    updates = play(tracker, [[person(x)] for x in way] + [[]])
    assert [update.active[0].is_leaving for update in updates[1:-2]] == [False] * 9
    assert updates[-1].active[0].is_leaving


class Coats:
    """Looks that a test gives: whoever wears the same coat is likelier one person than two."""

    def __init__(self, **worn_by_track: int) -> None:
        self._tracks = {track_id: coat for coat, track_id in worn_by_track.items()}
        self.detected: dict[Detection, str] = {}
        self.asked = self.asked_whether = 0

    def can_tell(self, track_id: int, detection: Detection) -> bool:
        self.asked_whether += 1
        return track_id in self._tracks and detection in self.detected

    def evidence(self, track_id: int, detection: Detection) -> float:
        self.asked += 1
        return 4.0 if self._tracks[track_id] == self.detected[detection] else -4.0


def meet_and_turn_back(coats: Coats | None) -> list[int]:
    """Red comes from the left, Blue from the right; numbers from left to right when they have
    parted. Red's track is 1.
    """
    tracker = make_tracker()
    for look in range(-8, 9):
        red, blue = person(200 - 14 * abs(look)), person(216 + 14 * abs(look))
        if coats is not None:
            coats.detected = {red: "red", blue: "blue"}
        seen = [red, blue]
        update = tracker.update(seen, (look + 8) * LOOK_S, FRAME_SIZE, appearance=coats)
    return [track.track_id for track in sorted(update.active, key=lambda track: track.box.x1)]


def test_two_who_meet_and_turn_back_keep_their_numbers_by_their_looks() -> None:
    assert meet_and_turn_back(None) == [2, 1], "places tell it already"
    coats = Coats(red=1, blue=2)
    assert meet_and_turn_back(coats) == [1, 2]
    assert coats.asked == 12, "four pairs, at the three looks at which they are near"


def test_of_people_who_stand_apart_nobody_asks_for_looks() -> None:
    tracker, coats = make_tracker(), Coats()
    for look in range(10):
        seen = [person(100 + 10 * look), person(400)]
        tracker.update(seen, look * LOOK_S, FRAME_SIZE, appearance=coats)
    assert coats.asked == 0
    assert coats.asked_whether <= 2 * 10, "in a crowd all pairs are a thousand"


def test_who_comes_out_of_the_box_of_another_has_met_them() -> None:
    tracker = make_tracker()
    together, front, behind = person(200), person(190), person(212)
    updates = play(
        tracker, [[together], [together], [front, behind], [person(150), person(240)], []]
    )
    assert [update.close for update in updates] == [(), (), (), ((1, 2),), ()]


def test_who_has_left_was_not_met_by_somebody_who_counts_only_later() -> None:
    """Somebody half seen stands in the box of another, who goes home; then they are seen well."""
    tracker = make_tracker()
    half_seen = person(224, score=0.52)
    leaves = [[half_seen, person(200 - 10 * look)] for look in range(8)]
    updates = play(tracker, [[person(200)]] * 2 + leaves + [[half_seen]] * 20)
    assert [track.track_id for update in updates for track in update.ended] == [1]
    (late,) = play(tracker, [[person(224)]], start_s=30 * LOOK_S)
    assert (ids(late), late.close) == ([2], ())


class Strict:
    """Looks that know everybody, and by which a box around two people is nobody."""

    def can_tell(self, track_id: int, detection: Detection) -> bool:
        return True

    def evidence(self, track_id: int, detection: Detection) -> float:
        return 5.0 if detection.box.width < 60 else -5.0


def test_a_box_around_two_people_never_counts_as_a_third() -> None:
    """Neither while either track refuses its half, nor when they have parted again."""
    tracker = make_tracker()
    left, right = person(200), person(260)
    around_both = Detection(Box(left.box.x1, left.box.y1, right.box.x2, right.box.y2), 0.9)
    looks = [[left, right]] * 6 + [[around_both]] * 4 + [[left, right]] * 4
    updates = [
        tracker.update(seen, look * LOOK_S, FRAME_SIZE, appearance=Strict())
        for look, seen in enumerate(looks)
    ]
    assert [ids(update) for update in updates] == [[1, 2]] * len(looks)
