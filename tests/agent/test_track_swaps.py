"""Who is who after two people met: what is made of crops from before and after."""

import numpy as np
import pytest
from support.policies import policy_of

from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.track_decisions import TrackDecisions
from edge_reid.agent.track_state import EmbeddedCrop, EndedTrack, TrackReport
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.geometry import Box
from edge_reid.core.types import Embedding, GallerySnapshot, HitType, Known, Uncertain, Unknown
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index

MODEL_ID = "0123456789abcdef"
ANNA, BEN, ZOE, JIM, FOG = np.eye(8, dtype=np.float32)[:5]
"""Anna and Ben are enrolled."""
NEW, UPDATE, END = HitType.NEW, HitType.UPDATE, HitType.END


class Scene:
    """The decisions about two tracks, 1 and 2, and a clock that goes on with every look."""

    def __init__(self, first: np.ndarray | None, second: np.ndarray | None) -> None:
        people = GallerySnapshot(
            ("anna", "ben"), np.array([0, 1], np.int32), np.stack([ANNA, BEN]), MODEL_ID, version=1
        )
        self.decisions = TrackDecisions(policy_of(Index(people), min_crops=3), keep=5)
        self.newest: dict[int, TrackReport] = {}
        """What was last told, by track."""
        self._now_s = 0.0
        self.look({1: first, 2: second}, times=5)

    def look(self, seen: dict[int, np.ndarray | None], times: int = 1, quality: float = 0.8):
        """What is told while each of these tracks looks so; None: it gives no crop."""
        told: dict[int, HitType] = {}
        for _ in range(times):
            self._now_s += 0.4
            self.decisions.meet([])
            reports = [
                self.decisions.observe(track_id, [self._crop(track_id, vector, quality)])
                for track_id, vector in seen.items()
                if vector is not None
            ]
            for report in (*filter(None, reports), *self.decisions.redecide()):
                told[report.track_id] = report.kind
                self.newest[report.track_id] = report
        return told

    def meet(self, *pair: int) -> None:
        self.decisions.meet([pair or (1, 2)])

    def name(self, track_id: int) -> str | None:
        decision = self.newest[track_id].decision
        return decision.identity if isinstance(decision, Known) else None

    def _crop(self, track_id: int, vector: np.ndarray, quality: float) -> EmbeddedCrop:
        unit = np.asarray(vector / np.linalg.norm(vector), np.float32)
        box = Box(100 * track_id, 0, 100 * track_id + 40, 100)
        return EmbeddedCrop(Embedding(unit, MODEL_ID, quality), box, self._now_s)


class Walk:
    """One track; of pairs of two people one in ten is more alike than 0.3."""

    def __init__(self, look: np.ndarray, *enrolled: str) -> None:
        looks = {"anna": ANNA, "ben": BEN}
        people = GallerySnapshot(
            enrolled,
            np.arange(len(enrolled), dtype=np.int32),
            np.stack([looks[name] for name in enrolled]),
            MODEL_ID,
            version=1,
        )
        rules = DecideSettings(threshold=0.6, min_crops=3)
        thresholds = GalleryThresholds(((0.1, 0.3), (0.01, 0.5)))
        self.decisions = TrackDecisions(MatchPolicy(Index(people), rules, thresholds), keep=5)
        self._now_s = 0.0
        self.see(look, times=5)

    def see(self, look: np.ndarray, times: int = 1) -> list[tuple[HitType, str | None]]:
        """What is told of the track while it looks so."""
        told: list[TrackReport | None] = []
        for _ in range(times):
            self._now_s += 0.4
            unit = np.asarray(look / np.linalg.norm(look), np.float32)
            crop = EmbeddedCrop(Embedding(unit, MODEL_ID, 0.8), Box(0, 0, 40, 100), self._now_s)
            told += [self.decisions.observe(1, [crop]), *self.decisions.redecide()]
        return [(report.kind, name_of(report)) for report in told if report is not None]


def name_of(report: TrackReport) -> str | None:
    return report.decision.identity if isinstance(report.decision, Known) else None


class TestAnotherPersonWithoutAMeeting:
    def test_the_track_is_told_anew_once_three_looks_say_so(self):
        walk = Walk(ANNA, "anna", "ben")
        assert walk.see(BEN, times=2) == []
        assert walk.decisions.take_wanting_fresh() == {1}
        assert walk.see(BEN) == [(UPDATE, "ben")]
        assert kinds(walk.decisions.close(1)) == (END,)

    def test_who_is_nobody_enrolled_has_not_the_name_of_who_was_seen_before(self):
        walk = Walk(ANNA, "anna")
        assert walk.see(ZOE, times=3) == [(NEW, None)]

    def test_of_two_people_who_are_not_enrolled_the_embeddings_are_not_mixed(self):
        walk = Walk(ZOE, "anna")
        assert walk.see(JIM, times=3) == [(UPDATE, None)]
        (end,) = walk.decisions.close(1).reports
        assert all(embedding.vector @ JIM > 0.99 for embedding in end.embeddings)

    def test_one_look_at_somebody_who_passes_in_front_changes_nothing(self):
        walk = Walk(ANNA, "anna", "ben")
        assert walk.see(BEN) == []
        assert walk.see(ANNA, times=5) == []
        (end,) = walk.decisions.close(1).reports
        assert name_of(end) == "anna"

    def test_another_side_of_somebody_is_nobody_else(self):
        """Less alike than any name needs, and yet more than two people are."""
        walk = Walk(ZOE, "anna")
        assert walk.see(0.4 * ZOE + np.sqrt(1 - 0.4**2) * JIM, times=5) == []

    def test_a_track_that_ends_before_three_looks_stays_what_it_was(self):
        walk = Walk(ANNA, "anna", "ben")
        assert walk.see(BEN, times=2) == []
        (end,) = walk.decisions.close(1).reports
        assert name_of(end) == "anna"


def kinds(ended: EndedTrack) -> tuple[HitType, ...]:
    return tuple(report.kind for report in ended.reports)


def test_names_go_along_when_people_swap_tracks_and_both_are_told():
    scene = Scene(ANNA, BEN)
    scene.meet()
    told = scene.look({1: BEN, 2: ANNA})
    assert told == {1: UPDATE, 2: UPDATE}
    assert (scene.name(1), scene.name(2)) == ("ben", "anna")
    assert scene.look({1: BEN, 2: ANNA}, times=5) == {}
    assert kinds(scene.decisions.close(1)) == (END,)


def test_visits_go_along_with_the_people_and_back_again():
    scene = Scene(ANNA, ZOE)
    scene.meet()
    scene.look({1: ZOE, 2: ANNA})
    assert {number: report.continues for number, report in scene.newest.items()} == {1: 2, 2: 1}
    scene.meet()
    scene.look({1: ANNA, 2: ZOE})
    assert {number: report.continues for number, report in scene.newest.items()} == {
        1: None,
        2: None,
    }


def test_names_go_along_though_every_crop_of_before_was_better():
    scene = Scene(ANNA, BEN)
    scene.meet()
    scene.look({1: BEN, 2: ANNA}, times=5, quality=0.3)
    assert (scene.name(1), scene.name(2)) == ("ben", "anna")


def test_who_goes_on_as_before_is_not_told_again():
    scene = Scene(ANNA, BEN)
    scene.meet()
    assert scene.look({1: ANNA, 2: BEN}, times=5) == {}
    assert (scene.name(1), scene.name(2)) == ("anna", "ben")


def test_while_names_are_in_doubt_nobody_is_shown_under_one():
    scene = Scene(ANNA, BEN)
    scene.meet()
    assert all(isinstance(decision, Uncertain) for decision in scene.decisions.decisions.values())
    assert scene.decisions.resting == {1, 2}
    scene.look({1: ANNA, 2: BEN})
    assert all(isinstance(decision, Known) for decision in scene.decisions.decisions.values())
    assert scene.decisions.resting == set()


def test_crops_are_wanted_anew_when_people_part_and_until_it_is_clear():
    scene = Scene(ANNA, BEN)
    scene.meet()
    assert scene.decisions.take_wanting_fresh() == set()
    scene.decisions.meet([])
    assert scene.decisions.take_wanting_fresh() == {1, 2}
    scene.look({1: ANNA, 2: BEN})
    assert scene.decisions.take_settled() == {1: (0.8,) * 5, 2: (0.8,) * 5}


def test_a_known_and_an_unknown_person_swap_tracks_too():
    scene = Scene(ANNA, ZOE)
    scene.meet()
    assert scene.look({1: ZOE, 2: ANNA}) == {1: NEW, 2: NEW}
    assert isinstance(scene.newest[1].decision, Unknown)
    assert scene.name(2) == "anna"
    ended = scene.decisions.close(1)
    assert isinstance(ended.decision, Unknown)
    assert kinds(ended) == (END,)


def test_two_unknown_people_swap_tracks_too():
    """Whoever remembers strangers must hear of it."""
    scene = Scene(ZOE, JIM)
    scene.meet()
    assert scene.look({1: JIM, 2: ZOE}) == {1: UPDATE, 2: UPDATE}
    first = scene.newest[1].embeddings
    assert all(embedding.vector @ JIM > 0.9 for embedding in first)


def test_people_dressed_alike_keep_their_names():
    alike = ANNA + 0.9 * BEN
    scene = Scene(ANNA + 0.7 * BEN, BEN + 0.7 * ANNA)
    scene.meet()
    assert scene.look({1: alike, 2: alike}, times=5) == {}
    assert (scene.name(1), scene.name(2)) == ("anna", "ben")


def test_one_crop_that_is_not_clear_moves_no_name():
    scene = Scene(ANNA, BEN)
    scene.meet()
    assert scene.look({1: FOG + 0.6 * BEN, 2: FOG + 0.6 * ANNA}) != {}, "this would be clear"
    scene = Scene(ANNA, BEN)
    scene.meet()
    assert scene.look({1: FOG + 0.1 * BEN, 2: FOG + 0.1 * ANNA}) == {}


def test_who_vanishes_at_a_meeting_while_the_other_goes_on_under_the_wrong_number():
    """Ben goes on as track 1; Anna, whose track 2 now is, was not seen again."""
    scene = Scene(ANNA, BEN)
    scene.meet()
    assert scene.look({1: BEN}, times=3) == {1: UPDATE}
    assert scene.name(1) == "ben"
    ended = scene.decisions.close(2)
    assert (ended.decision.identity, kinds(ended)) == ("ben", (END,)), "as it was seen"
    assert ended.reports[0].best.box.x1 == 200, "where it was seen"
    assert scene.decisions.close(1).decision.identity == "ben"


def test_who_comes_back_after_the_swap_is_told_by_the_right_name():
    scene = Scene(ANNA, BEN)
    scene.meet()
    scene.look({1: BEN}, times=3)
    assert scene.look({2: ANNA}) == {2: UPDATE}
    assert scene.name(2) == "anna"


def test_a_rival_that_ended_in_between_is_not_forgotten():
    """Their boxes lay over each other until track 2 was given up."""
    scene = Scene(ANNA, BEN)
    scene.meet()
    assert scene.decisions.close(2).decision.identity == "ben"
    assert scene.look({1: BEN}, times=3) == {1: UPDATE}
    assert scene.name(1) == "ben"


def test_what_is_told_of_a_swapped_track_shows_the_track_itself():
    scene = Scene(ANNA, BEN)
    scene.meet()
    scene.look({1: BEN, 2: ANNA}, quality=0.3)
    assert [scene.newest[number].best.box.x1 for number in (1, 2)] == [100, 200]
    assert scene.newest[1].best.captured_utc_s > 2.0


def test_three_people_who_meet_get_their_own_names_back():
    scene = Scene(ANNA, BEN)
    scene.look({3: ZOE}, times=5)
    scene.decisions.meet([(1, 2), (2, 3), (1, 3)])
    scene.look({1: BEN, 2: ZOE, 3: ANNA}, times=3)
    assert (scene.name(1), scene.name(2), scene.name(3)) == ("ben", None, "anna")


def test_a_track_that_turned_into_somebody_else_unseen_gives_its_name_up():
    """Track 1 went on with Zoe, and Anna comes along as track 3: nobody is in two places."""
    scene = Scene(ANNA, BEN)
    scene.look({3: ANNA + 0.3 * FOG}, times=3)
    assert 1 in scene.decisions.take_wanting_fresh(), "track 1 is looked at anew"
    assert scene.look({1: ZOE}, times=3) == {1: NEW, 3: NEW}
    assert isinstance(scene.newest[1].decision, Unknown)
    assert scene.name(3) == "anna"


def test_a_track_that_turned_into_somebody_enrolled_gets_that_name():
    scene = Scene(ANNA, None)
    scene.look({3: ANNA}, times=3)
    assert scene.look({1: BEN}, times=3) == {1: UPDATE, 3: NEW}
    assert (scene.name(1), scene.name(3)) == ("ben", "anna")


def test_who_has_a_name_keeps_it_when_somebody_alike_comes_along():
    scene = Scene(ANNA, None)
    alike = ANNA + 0.5 * ZOE
    scene.look({3: alike}, times=3)
    assert scene.look({1: ANNA, 3: alike}, times=5) == {}
    assert scene.name(1) == "anna"
    scene.decisions.close(1)
    assert scene.look({}) == {3: NEW}


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_a_track_that_ends_in_doubt_ends_under_the_name_it_had(looks: int):
    scene = Scene(ANNA, BEN)
    scene.meet()
    scene.look({1: ANNA}, times=looks)
    ended = scene.decisions.close(1)
    assert (ended.decision.identity, kinds(ended)) == ("anna", (END,))


def test_a_crowd_that_never_parts_is_bounded():
    scene = Scene(ANNA, None)
    for number in range(2, 200):
        scene.look({number: ZOE})
        scene.meet(1, number)
        scene.decisions.close(number)
    assert len(scene.decisions._tracks[1].rivals) <= 8
    assert scene.look({1: ANNA}, times=3) == {}
    assert scene.name(1) == "anna"
