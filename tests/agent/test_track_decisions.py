"""When something is told of a track."""

import numpy as np
import pytest
from support.policies import policy_of

from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.track_decisions import TrackDecisions
from edge_reid.agent.track_state import EmbeddedCrop, EndedTrack, TrackReport
from edge_reid.core.geometry import Box
from edge_reid.core.types import Embedding, GallerySnapshot, HitType, Known, Uncertain, Unknown
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index

MODEL_ID = "0123456789abcdef"
ANNA, BEN = np.eye(4, dtype=np.float32)[:2]
STRANGER = np.eye(4, dtype=np.float32)[3]


def seen(vector: np.ndarray, quality: float = 0.8, captured_utc_s: float = 0.0) -> EmbeddedCrop:
    unit = np.asarray(vector / np.linalg.norm(vector), np.float32)
    return EmbeddedCrop(Embedding(unit, MODEL_ID, quality), Box(0, 0, 40, 100), captured_utc_s)


GALLERY = GallerySnapshot(
    ("anna", "ben"), np.array([0, 1], np.int32), np.stack([ANNA, BEN]), MODEL_ID, version=1
)


class Tracks:
    """The decisions about tracks, and what was last told of each."""

    def __init__(self, **rules: float) -> None:
        self.decisions = TrackDecisions(
            policy_of(Index(GALLERY), **{"min_crops": 2, **rules}), keep=4
        )
        self.newest: dict[int, TrackReport] = {}

    def observe(self, track_id: int, crops: list[EmbeddedCrop]) -> HitType | None:
        report = self.decisions.observe(track_id, crops)
        if report is None:
            return None
        self.newest[track_id] = report
        return report.kind

    def redecide(self) -> dict[int, HitType]:
        reports = self.decisions.redecide()
        self.newest |= {report.track_id: report for report in reports}
        return {report.track_id: report.kind for report in reports}

    def use(self, index: Index, threshold: float = 0.6) -> None:
        rules = self.decisions._policy.rules.model_copy(update={"threshold": threshold})
        self.decisions.use(MatchPolicy(index, rules, thresholds=GalleryThresholds(())))

    def close(self, track_id: int) -> EndedTrack:
        return self.decisions.close(track_id)

    def told(self, track_id: int) -> Known | Unknown:
        return self.newest[track_id].decision


def kinds(ended: EndedTrack) -> tuple[HitType, ...]:
    return tuple(report.kind for report in ended.reports)


def test_nothing_is_told_before_there_are_enough_crops():
    tracks = Tracks()
    assert tracks.observe(1, [seen(ANNA)]) is None
    assert tracks.observe(1, [seen(ANNA)]) is HitType.NEW
    decision = tracks.told(1)
    assert isinstance(decision, Known)
    assert (decision.identity, decision.crops) == ("anna", 2)


def test_the_same_again_is_not_told_again():
    tracks = Tracks()
    told = [tracks.observe(1, [seen(ANNA)]) for _ in range(6)]
    assert told.count(HitType.NEW) == 1
    assert HitType.UPDATE not in told


def test_a_clearly_better_decision_is_an_update():
    tracks = Tracks(update_gain=0.05)
    blurred = ANNA + 0.9 * STRANGER
    assert tracks.observe(1, [seen(blurred, 0.4)] * 2) is HitType.NEW
    before = tracks.told(1)
    assert tracks.observe(1, [seen(ANNA, 0.9)] * 4) is HitType.UPDATE
    after = tracks.told(1)
    assert isinstance(before, Known)
    assert isinstance(after, Known)
    assert after.similarity >= before.similarity + 0.05


def test_a_stranger_is_told_as_unknown_once():
    tracks = Tracks()
    told = [tracks.observe(1, [seen(STRANGER)]) for _ in range(4)]
    assert told == [None, HitType.NEW, None, None]
    assert isinstance(tracks.told(1), Unknown)


def test_a_stranger_who_turns_out_to_be_anna_is_a_new_hit():
    tracks = Tracks()
    assert tracks.observe(1, [seen(STRANGER, 0.2)] * 2) is HitType.NEW
    assert tracks.observe(1, [seen(ANNA, 0.9)] * 4) is HitType.NEW
    assert isinstance(tracks.told(1), Known)


def test_two_people_too_alike_are_neither():
    tracks = Tracks(min_margin=0.2)
    between = ANNA + 0.9 * BEN
    assert tracks.observe(1, [seen(between)] * 4) is None
    ended = tracks.close(1)
    assert isinstance(ended.decision, Uncertain)
    assert ended.decision.candidate is not None
    assert kinds(ended) == ()


def test_nobody_is_in_two_places_at_once():
    tracks = Tracks()
    assert tracks.observe(1, [seen(ANNA)] * 2) is HitType.NEW
    lookalike = ANNA + 0.8 * STRANGER
    assert tracks.observe(2, [seen(lookalike)] * 2) is None
    tracks.close(1)
    assert tracks.observe(2, [seen(lookalike)]) is HitType.NEW


def test_who_stands_still_gets_the_name_that_another_track_leaves():
    """No crop of track 2 comes any more: it has its best ones."""
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA)] * 2)
    tracks.observe(2, [seen(ANNA + 0.8 * STRANGER)] * 2)
    tracks.observe(3, [seen(BEN + 0.8 * STRANGER)])
    assert tracks.redecide() == {}
    tracks.close(1)
    assert tracks.redecide() == {2: HitType.NEW}
    decision = tracks.told(2)
    assert isinstance(decision, Known)
    assert decision.identity == "anna"
    assert tracks.redecide() == {}


def test_a_name_that_is_left_goes_to_the_track_that_is_most_like_it():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA)] * 2)
    tracks.observe(2, [seen(ANNA + 0.9 * STRANGER)] * 2)
    tracks.observe(3, [seen(ANNA + 0.5 * STRANGER)] * 2)
    tracks.close(1)
    assert tracks.redecide() == {3: HitType.NEW}


def test_a_hit_ends_under_the_name_it_was_told():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA, 0.5)] * 2)
    tracks.observe(1, [seen(STRANGER, 0.9)] * 4)
    ended = tracks.close(1)
    assert isinstance(ended.decision, Known)
    assert ended.decision.identity == "anna"
    assert kinds(ended) == (HitType.END,)


def test_a_short_track_is_decided_at_its_end_with_what_there_is():
    tracks = Tracks(min_crops=5)
    assert tracks.observe(1, [seen(ANNA)]) is None
    ended = tracks.close(1)
    assert isinstance(ended.decision, Known)
    assert kinds(ended) == (HitType.NEW, HitType.END)


def test_a_track_that_was_never_embedded_ends_without_a_word():
    assert Tracks().close(7) == EndedTrack(None)


def test_only_the_best_embeddings_are_kept():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA, 0.9)] * 4)
    tracks.observe(1, [seen(STRANGER, 0.1)] * 10)
    final = tracks.close(1).decision
    assert isinstance(final, Known)
    assert final.similarity == pytest.approx(1.0)
    assert final.crops == 4


def test_an_event_shows_the_best_view_not_the_last():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA, 0.5, 1.0), seen(ANNA, 0.9, 2.0), seen(ANNA, 0.4, 3.0)])
    assert tracks.newest[1].best.captured_utc_s == 2.0
    ended = tracks.close(1)
    assert ended.reports[-1].best.captured_utc_s == 2.0


def gallery_of(version: int, **people: np.ndarray) -> Index:
    names = tuple(sorted(people))
    labels = np.arange(len(names), dtype=np.int32)
    vectors = np.stack([people[name] for name in names])
    return Index(GallerySnapshot(names, labels, vectors, MODEL_ID, version))


def test_who_is_not_enrolled_any_more_is_never_told_again():
    tracks = Tracks()
    assert tracks.observe(1, [seen(ANNA)] * 2) is HitType.NEW
    tracks.use(gallery_of(2, ben=BEN), 0.6)
    assert isinstance(tracks.decisions.decisions[1], Unknown)
    assert tracks.observe(1, [seen(ANNA)]) is HitType.NEW
    assert isinstance(tracks.told(1), Unknown)
    ended = tracks.close(1)
    assert isinstance(ended.decision, Unknown)
    assert kinds(ended) == (HitType.END,)


def test_a_track_that_ends_right_after_the_change_does_not_end_under_a_removed_name():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA)] * 2)
    tracks.use(gallery_of(2, ben=BEN), 0.6)
    ended = tracks.close(1)
    assert isinstance(ended.decision, Unknown)
    assert kinds(ended) == (HitType.NEW, HitType.END)


def test_who_stays_enrolled_stays_told():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA)] * 2)
    tracks.use(gallery_of(2, anna=ANNA, zoe=STRANGER), 0.6)
    assert tracks.observe(1, [seen(ANNA)]) is None
    assert kinds(tracks.close(1)) == (HitType.END,)


def test_who_is_enrolled_while_in_view_is_told():
    tracks = Tracks()
    assert tracks.observe(1, [seen(STRANGER)] * 2) is HitType.NEW
    tracks.use(gallery_of(2, anna=ANNA, zoe=STRANGER), 0.6)
    assert tracks.observe(1, [seen(STRANGER)]) is HitType.NEW
    decision = tracks.told(1)
    assert isinstance(decision, Known)
    assert decision.identity == "zoe"


def test_who_is_enrolled_or_removed_while_standing_still_is_told_at_once():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA)] * 2)
    tracks.observe(2, [seen(STRANGER)] * 2)
    tracks.observe(3, [seen(BEN)] * 2)
    tracks.use(gallery_of(2, ben=BEN, zoe=STRANGER), 0.6)
    assert tracks.redecide() == {1: HitType.NEW, 2: HitType.NEW}
    assert isinstance(tracks.told(1), Unknown)
    decision = tracks.told(2)
    assert isinstance(decision, Known)
    assert decision.identity == "zoe"
    assert tracks.redecide() == {}
    assert kinds(tracks.close(2)) == (HitType.END,)


def test_another_threshold_is_told_at_once():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA + 1.5 * STRANGER)] * 2)
    assert isinstance(tracks.told(1), Unknown)
    tracks.use(gallery_of(1, anna=ANNA, ben=BEN), 0.5)
    assert tracks.redecide() == {1: HitType.NEW}
    assert isinstance(tracks.told(1), Known)


def test_who_ends_before_being_told_anew_is_told_once():
    tracks = Tracks()
    tracks.observe(1, [seen(STRANGER)] * 2)
    tracks.use(gallery_of(2, zoe=STRANGER), 0.6)
    assert kinds(tracks.close(1)) == (HitType.NEW, HitType.END)
    assert tracks.redecide() == {}


def test_a_change_of_gallery_makes_no_candidate_of_a_removed_name():
    tracks = Tracks(min_crops=5)
    tracks.observe(1, [seen(ANNA)])
    tracks.use(gallery_of(2, ben=BEN), 0.6)
    decision = tracks.decisions.decisions[1]
    assert isinstance(decision, Uncertain)
    assert decision.candidate is None


def test_crops_of_a_box_that_somebody_came_out_of_are_not_believed_once_there_are_others():
    """Two people walk as one; the crops of their one box are the sharpest, and show both."""
    tracks = Tracks()
    both = [seen(ANNA + 0.8 * STRANGER, quality=0.9) for _ in range(4)]
    assert tracks.observe(1, both) is HitType.NEW
    assert tracks.told(1).similarity == pytest.approx(1 / np.sqrt(1.64), abs=1e-3)
    tracks.decisions.meet([(1, 2)], came_out=[(1, 2)])
    tracks.decisions.meet([])
    for _ in range(2):
        tracks.observe(1, [seen(ANNA, quality=0.5)])
        tracks.observe(2, [seen(STRANGER, quality=0.5)])
    assert tracks.redecide()[1] is HitType.UPDATE
    assert tracks.told(1).identity == "anna"
    assert tracks.told(1).similarity == pytest.approx(1.0)
    assert {crop.quality for crop in tracks.newest[1].embeddings} == {0.5}


def test_crops_of_before_are_kept_of_who_only_passes_somebody_without_any():
    tracks = Tracks()
    tracks.observe(1, [seen(ANNA, quality=0.9)] * 2)
    tracks.decisions.meet([(1, 2)])
    tracks.decisions.meet([])
    for _ in range(2):
        tracks.observe(1, [seen(ANNA, quality=0.5)])
        tracks.observe(2, [seen(STRANGER, quality=0.5)])
    tracks.redecide()
    qualities = [crop.quality for crop in tracks.close(1).reports[-1].embeddings]
    assert qualities == [0.9, 0.9, 0.5, 0.5]


def test_a_name_does_not_stay_with_a_stranger_who_took_the_track_of_who_was_passed():
    """Anna passes somebody of whom there is no crop, and goes; the other is seen in her track."""
    tracks = Tracks()
    alike = GalleryThresholds(((0.5, 0.1), (0.001, 0.5)))
    policy = tracks.decisions._policy
    tracks.decisions.use(MatchPolicy(Index(GALLERY), policy.rules, thresholds=alike))
    tracks.observe(1, [seen(ANNA, quality=0.9)] * 2)
    assert tracks.told(1).identity == "anna"
    tracks.decisions.meet([(1, 2)])
    tracks.decisions.meet([])
    for _ in range(2):
        tracks.observe(1, [seen(STRANGER, quality=0.5)])
    tracks.close(2)
    assert tracks.redecide() == {1: HitType.NEW}
    assert isinstance(tracks.told(1), Unknown)
