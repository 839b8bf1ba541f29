"""When the world is told about a track."""

import numpy as np
import pytest

from edge_reid.agent.track_decisions import TrackDecisions
from edge_reid.agent.track_state import EmbeddedCrop, EndedTrack
from edge_reid.core.config import DecideSettings
from edge_reid.core.geometry import Box
from edge_reid.core.types import Embedding, GallerySnapshot, HitType, Known, Uncertain, Unknown
from edge_reid.matching.index import Index

MODEL_ID = "0123456789abcdef"
ANNA, BEN = np.eye(4, dtype=np.float32)[:2]
STRANGER = np.eye(4, dtype=np.float32)[3]


def seen(vector: np.ndarray, quality: float = 0.8, captured_utc_s: float = 0.0) -> EmbeddedCrop:
    unit = np.asarray(vector / np.linalg.norm(vector), np.float32)
    return EmbeddedCrop(Embedding(unit, MODEL_ID, quality), Box(0, 0, 40, 100), captured_utc_s)


def casebook(**settings: float) -> TrackDecisions:
    labels = np.array([0, 1], np.int32)
    snapshot = GallerySnapshot(("anna", "ben"), labels, np.stack([ANNA, BEN]), MODEL_ID, version=1)
    rules = DecideSettings.model_validate({"min_crops": 2, **settings})
    return TrackDecisions(Index(snapshot), threshold=0.6, settings=rules, keep=4)


def test_nothing_is_told_before_there_are_enough_crops():
    cases = casebook()
    assert cases.learn(1, [seen(ANNA)]) is None
    assert cases.learn(1, [seen(ANNA)]) is HitType.NEW
    decision = cases.published(1)
    assert isinstance(decision, Known)
    assert (decision.identity, decision.crops) == ("anna", 2)


def test_the_same_again_is_not_told_again():
    cases = casebook()
    kinds = [cases.learn(1, [seen(ANNA)]) for _ in range(6)]
    assert kinds.count(HitType.NEW) == 1
    assert HitType.UPDATE not in kinds


def test_a_clearly_better_decision_is_an_update():
    cases = casebook(update_gain=0.05)
    blurred = ANNA + 0.9 * STRANGER
    assert cases.learn(1, [seen(blurred, 0.4)] * 2) is HitType.NEW
    before = cases.published(1)
    assert cases.learn(1, [seen(ANNA, 0.9)] * 4) is HitType.UPDATE
    after = cases.published(1)
    assert isinstance(before, Known)
    assert isinstance(after, Known)
    assert after.similarity >= before.similarity + 0.05


def test_a_stranger_is_told_as_unknown_once():
    cases = casebook()
    kinds = [cases.learn(1, [seen(STRANGER)]) for _ in range(4)]
    assert kinds == [None, HitType.NEW, None, None]
    assert isinstance(cases.published(1), Unknown)


def test_a_stranger_who_turns_out_to_be_anna_is_a_new_hit():
    cases = casebook()
    assert cases.learn(1, [seen(STRANGER, 0.2)] * 2) is HitType.NEW
    assert cases.learn(1, [seen(ANNA, 0.9)] * 4) is HitType.NEW
    assert isinstance(cases.published(1), Known)


def test_two_people_too_alike_are_neither():
    cases = casebook(min_margin=0.2)
    between = ANNA + 0.9 * BEN
    assert cases.learn(1, [seen(between)] * 4) is None
    closing = cases.close(1)
    assert isinstance(closing.decision, Uncertain)
    assert closing.decision.candidate is not None
    assert closing.kinds == ()


def test_nobody_is_in_two_places_at_once():
    cases = casebook()
    assert cases.learn(1, [seen(ANNA)] * 2) is HitType.NEW
    lookalike = ANNA + 0.8 * STRANGER
    assert cases.learn(2, [seen(lookalike)] * 2) is None
    cases.close(1)
    assert cases.learn(2, [seen(lookalike)]) is HitType.NEW


def test_who_stands_still_gets_the_name_that_another_track_leaves():
    """No crop of track 2 comes any more: it has its best ones."""
    cases = casebook()
    cases.learn(1, [seen(ANNA)] * 2)
    cases.learn(2, [seen(ANNA + 0.8 * STRANGER)] * 2)
    cases.learn(3, [seen(BEN + 0.8 * STRANGER)])
    assert cases.review() == {}
    cases.close(1)
    assert cases.review() == {2: HitType.NEW}
    decision = cases.published(2)
    assert isinstance(decision, Known)
    assert decision.identity == "anna"
    assert cases.review() == {}


def test_a_name_that_is_left_goes_to_the_track_that_is_most_like_it():
    cases = casebook()
    cases.learn(1, [seen(ANNA)] * 2)
    cases.learn(2, [seen(ANNA + 0.9 * STRANGER)] * 2)
    cases.learn(3, [seen(ANNA + 0.5 * STRANGER)] * 2)
    cases.close(1)
    assert cases.review() == {3: HitType.NEW}


def test_a_hit_ends_under_the_name_it_was_told():
    cases = casebook()
    cases.learn(1, [seen(ANNA, 0.5)] * 2)
    cases.learn(1, [seen(STRANGER, 0.9)] * 4)
    closing = cases.close(1)
    assert isinstance(closing.decision, Known)
    assert closing.decision.identity == "anna"
    assert closing.kinds == (HitType.END,)


def test_a_short_track_is_decided_at_its_end_with_what_there_is():
    cases = casebook(min_crops=5)
    assert cases.learn(1, [seen(ANNA)]) is None
    closing = cases.close(1)
    assert isinstance(closing.decision, Known)
    assert closing.kinds == (HitType.NEW, HitType.END)


def test_a_track_that_was_never_embedded_ends_without_a_word():
    assert casebook().close(7) == EndedTrack(None, (), None)


def test_only_the_best_embeddings_are_kept():
    cases = casebook()
    cases.learn(1, [seen(ANNA, 0.9)] * 4)
    cases.learn(1, [seen(STRANGER, 0.1)] * 10)
    final = cases.close(1).decision
    assert isinstance(final, Known)
    assert final.similarity == pytest.approx(1.0)
    assert final.crops == 4


def test_an_event_shows_the_best_view_not_the_last():
    cases = casebook()
    cases.learn(1, [seen(ANNA, 0.5, 1.0), seen(ANNA, 0.9, 2.0), seen(ANNA, 0.4, 3.0)])
    assert cases.best(1).captured_utc_s == 2.0
    closing = cases.close(1)
    assert closing.best is not None
    assert closing.best.captured_utc_s == 2.0


def gallery_of(version: int, **people: np.ndarray) -> Index:
    names = tuple(sorted(people))
    labels = np.arange(len(names), dtype=np.int32)
    vectors = np.stack([people[name] for name in names])
    return Index(GallerySnapshot(names, labels, vectors, MODEL_ID, version))


def test_who_is_not_enrolled_any_more_is_never_told_again():
    cases = casebook()
    assert cases.learn(1, [seen(ANNA)] * 2) is HitType.NEW
    cases.use(gallery_of(2, ben=BEN), 0.6)
    assert isinstance(cases.decisions[1], Unknown)
    assert cases.learn(1, [seen(ANNA)]) is HitType.NEW
    assert isinstance(cases.published(1), Unknown)
    closing = cases.close(1)
    assert isinstance(closing.decision, Unknown)
    assert closing.kinds == (HitType.END,)


def test_a_track_that_ends_right_after_the_change_does_not_end_under_a_removed_name():
    cases = casebook()
    cases.learn(1, [seen(ANNA)] * 2)
    cases.use(gallery_of(2, ben=BEN), 0.6)
    closing = cases.close(1)
    assert isinstance(closing.decision, Unknown)
    assert closing.kinds == (HitType.NEW, HitType.END)


def test_who_stays_enrolled_stays_told():
    cases = casebook()
    cases.learn(1, [seen(ANNA)] * 2)
    cases.use(gallery_of(2, anna=ANNA, zoe=STRANGER), 0.6)
    assert cases.learn(1, [seen(ANNA)]) is None
    assert cases.close(1).kinds == (HitType.END,)


def test_who_is_enrolled_while_in_view_is_told():
    cases = casebook()
    assert cases.learn(1, [seen(STRANGER)] * 2) is HitType.NEW
    cases.use(gallery_of(2, anna=ANNA, zoe=STRANGER), 0.6)
    assert cases.learn(1, [seen(STRANGER)]) is HitType.NEW
    decision = cases.published(1)
    assert isinstance(decision, Known)
    assert decision.identity == "zoe"


def test_who_is_enrolled_or_removed_while_standing_still_is_told_at_once():
    cases = casebook()
    cases.learn(1, [seen(ANNA)] * 2)
    cases.learn(2, [seen(STRANGER)] * 2)
    cases.learn(3, [seen(BEN)] * 2)
    cases.use(gallery_of(2, ben=BEN, zoe=STRANGER), 0.6)
    assert cases.review() == {1: HitType.NEW, 2: HitType.NEW}
    assert isinstance(cases.published(1), Unknown)
    decision = cases.published(2)
    assert isinstance(decision, Known)
    assert decision.identity == "zoe"
    assert cases.review() == {}
    assert cases.close(2).kinds == (HitType.END,)


def test_another_threshold_is_told_at_once():
    cases = casebook()
    cases.learn(1, [seen(ANNA + 1.5 * STRANGER)] * 2)
    assert isinstance(cases.published(1), Unknown)
    cases.use(gallery_of(1, anna=ANNA, ben=BEN), 0.5)
    assert cases.review() == {1: HitType.NEW}
    assert isinstance(cases.published(1), Known)


def test_who_ends_before_being_told_anew_is_told_once():
    cases = casebook()
    cases.learn(1, [seen(STRANGER)] * 2)
    cases.use(gallery_of(2, zoe=STRANGER), 0.6)
    assert cases.close(1).kinds == (HitType.NEW, HitType.END)
    assert cases.review() == {}


def test_a_change_of_gallery_makes_no_candidate_of_a_removed_name():
    cases = casebook(min_crops=5)
    cases.learn(1, [seen(ANNA)])
    cases.use(gallery_of(2, ben=BEN), 0.6)
    decision = cases.decisions[1]
    assert isinstance(decision, Uncertain)
    assert decision.candidate is None
