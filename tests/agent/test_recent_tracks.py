"""Somebody is out of sight for moments and comes back as another track: is it the same visit?"""

from __future__ import annotations

import gc
from collections.abc import Sequence

import numpy as np
import pytest

from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.track_decisions import TrackDecisions
from edge_reid.agent.track_state import EmbeddedCrop, EndedTrack, PastTrack, TrackReport
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.geometry import Box
from edge_reid.core.types import Embedding, GallerySnapshot, HitType, Known, Track, Unknown
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index

MODEL_ID = "0123456789abcdef"
ANNA, BEN, ZOE, JIM = np.eye(8, dtype=np.float32)[:4]
"""Anna and Ben are enrolled."""
IMPOSTORS = ((0.1, 0.3), (0.01, 0.5), (0.001, 0.65))
"""(share, similarity): 1 % of comparisons of two people reach 0.5."""
MIN_CROPS, MEMORY_S, HEIGHT_PX = 3, 10.0, 100.0
NEW, END = HitType.NEW, HitType.END


def between(one: np.ndarray, other: np.ndarray, likeness: float) -> np.ndarray:
    """A look of this cosine similarity to the one, towards the other."""
    return np.asarray(likeness * one + np.sqrt(1 - likeness**2) * other, np.float32)


def policy(*enrolled: str, threshold: float = 0.6) -> MatchPolicy:
    looks = {"anna": ANNA, "ben": BEN}
    people = GallerySnapshot(
        enrolled,
        np.arange(len(enrolled), dtype=np.int32),
        np.stack([looks[name] for name in enrolled]),
        MODEL_ID,
        version=len(enrolled),
    )
    rules = DecideSettings(threshold=threshold, min_crops=MIN_CROPS, target_fpir=0.01)
    return MatchPolicy(Index(people), rules, GalleryThresholds(IMPOSTORS))


class Street:
    """What a camera sees: who stands where, a look each 0.4 s."""

    def __init__(self, memory_s: float = MEMORY_S) -> None:
        self.decisions = TrackDecisions(policy("anna", "ben"), keep=5, relink_s=memory_s)
        self.now_s = 100.0
        self.told: list[TrackReport] = []

    def see(self, track_id: int, look: np.ndarray, x: float, times: int = MIN_CROPS) -> None:
        for _ in range(times):
            self.now_s += 0.4
            box = box_at(x)
            self.decisions.locate([self.track(track_id, box)])
            unit = np.asarray(look / np.linalg.norm(look), np.float32)
            crop = EmbeddedCrop(Embedding(unit, MODEL_ID, 0.8), box, self.now_s)
            self.tell([self.decisions.observe(track_id, [crop])])
            for gone in sorted(self.decisions.take_continued()):
                self.end(gone)
            self.tell(self.decisions.redecide())

    def track(self, track_id: int, box: Box, **state: bool) -> Track:
        return Track(
            track_id, box, 0.9, state.get("observed", True), 0, self.now_s, **leaving(state)
        )

    def end(self, track_id: int) -> EndedTrack:
        ended = self.decisions.close(track_id)
        self.tell(ended.reports)
        return ended

    def tell(self, reports: Sequence[TrackReport | None]) -> None:
        self.told += [report for report in reports if report is not None]

    def news(self) -> list[tuple[HitType, int, int | None, str | None]]:
        """(type, track, visit it continues, name) of all that was told."""
        return [
            (report.kind, report.track_id, report.continues, name_of(report.decision))
            for report in self.told
        ]


def leaving(state: dict[str, bool]) -> dict[str, bool]:
    return {"is_leaving": state["leaving"]} if "leaving" in state else {}


def box_at(x: float) -> Box:
    return Box(x - 20, 100, x + 20, 100 + HEIGHT_PX)


def name_of(decision: Known | Unknown) -> str | None:
    return decision.identity if isinstance(decision, Known) else None


def test_who_is_out_of_sight_for_moments_goes_on_with_the_visit() -> None:
    street = Street()
    street.see(1, ANNA, x=200)
    street.end(1)
    street.now_s += 2
    street.see(2, between(ANNA, ZOE, 0.55), x=300)
    street.end(2)
    assert street.news() == [
        (NEW, 1, None, "anna"),
        (END, 1, None, "anna"),
        (NEW, 2, 1, "anna"),
        (END, 2, 1, "anna"),
    ], "seen from behind alone, they would be nobody"


def test_somebody_who_comes_later_takes_no_predecessor_from_who_is_seldom_looked_at() -> None:
    street = Street()
    street.see(1, ANNA, x=200)
    street.end(1)
    street.now_s += 2
    street.see(2, between(ANNA, ZOE, 0.55), x=300, times=MIN_CROPS - 1)
    street.now_s += MEMORY_S
    street.see(3, JIM, x=900)
    street.see(2, between(ANNA, ZOE, 0.55), x=300, times=1)
    assert (NEW, 2, 1, "anna") in street.news()


def test_a_visit_that_goes_on_keeps_its_name_and_threshold_whatever_the_threshold_is_now() -> None:
    street = Street()
    street.see(1, between(ANNA, ZOE, 0.8), x=200)
    street.end(1)
    street.decisions.use(policy("anna", "ben", threshold=0.9))
    street.now_s += 1
    street.see(2, between(ANNA, ZOE, 0.8), x=210)
    street.now_s += MEMORY_S + 1
    street.see(3, between(ANNA, ZOE, 0.8), x=210)
    assert [
        (report.track_id, report.continues, name_of(report.decision), report.decision.threshold)
        for report in street.told
        if report.kind is NEW
    ] == [(1, None, "anna", 0.6), (2, 1, "anna", 0.6), (3, None, None, 0.9)]


def test_the_next_break_still_names_the_track_that_the_visit_began_as() -> None:
    street = Street()
    for track_id in (1, 2, 3):
        street.see(track_id, ZOE, x=200 + 10 * track_id)
        street.end(track_id)
        street.now_s += 1
    visits = {track_id: visit for _, track_id, visit, _ in street.news()}
    assert visits == {1: None, 2: 1, 3: 1}


def test_a_crop_of_before_is_not_shown_as_one_of_the_new_track() -> None:
    street = Street()
    street.see(1, ZOE, x=200)
    street.end(1)
    street.now_s += 2
    began_s = street.now_s
    street.see(2, ZOE, x=300)
    report = street.told[-1]
    assert report.continues == 1
    assert report.best.captured_utc_s > began_s
    assert len(report.embeddings) == 5


def test_a_track_that_is_lost_but_not_over_ends_before_another_goes_on_with_it() -> None:
    street = Street()
    street.see(1, ANNA, x=200)
    lost = street.track(1, box_at(220), observed=False)
    street.now_s += 1
    street.decisions.locate([lost])
    street.see(2, ANNA, x=280)
    assert street.news() == [(NEW, 1, None, "anna"), (END, 1, None, "anna"), (NEW, 2, 1, "anna")]
    assert street.decisions.decisions.keys() == {2}


@pytest.mark.parametrize(
    ("case", "gone_s", "x", "look"),
    [
        ("too far to have walked", 1.0, 700, ZOE),
        ("too long ago", MEMORY_S + 1, 200, ZOE),
        ("looks like somebody else", 1.0, 210, between(ZOE, JIM, 0.45)),
    ],
)
def test_somebody_else_begins_a_visit(case: str, gone_s: float, x: float, look: np.ndarray) -> None:
    street = Street()
    street.see(1, ZOE, x=200)
    street.end(1)
    street.now_s += gone_s
    street.see(2, look, x=x)
    assert street.news()[-1] == (NEW, 2, None, None), case


def test_the_more_may_come_back_the_more_alike_it_has_to_be() -> None:
    """Two comparisons at an accepted rate of 1 %: p = 1 - 0.99 ** 0.5, on a line in log p."""
    p = 1 - 0.99**0.5
    enough = 0.5 + (0.65 - 0.5) * (np.log(0.01) - np.log(p)) / np.log(10)
    for likeness, visit in ((enough - 0.01, None), (enough + 0.01, 1)):
        street = Street()
        for track_id, look in ((1, ZOE), (2, JIM)):
            street.see(track_id, look, x=200)
            street.end(track_id)
        street.see(3, between(ZOE, np.eye(8, dtype=np.float32)[6], likeness), x=210)
        assert street.news()[-1][1:3] == (3, visit)


def test_who_walked_out_of_the_picture_begins_a_new_visit() -> None:
    street = Street()
    street.see(1, ZOE, x=200)
    street.decisions.locate([street.track(1, box_at(200), observed=False, leaving=True)])
    street.end(1)
    street.now_s += 1
    street.see(2, ZOE, x=200)
    assert street.news()[-1] == (NEW, 2, None, None)


def test_two_names_are_two_visits() -> None:
    street = Street()
    street.see(1, between(ANNA, BEN, 0.75), x=200)
    street.end(1)
    street.now_s += 1
    street.see(2, between(BEN, ANNA, 0.75), x=210)
    assert [entry[2:] for entry in street.news()] == [(None, "anna")] * 2 + [(None, "ben")]


def test_only_one_track_continues_another() -> None:
    street = Street()
    street.see(1, ZOE, x=200)
    street.end(1)
    for track_id in (2, 3):
        street.see(track_id, ZOE, x=200)
    assert [entry[1:3] for entry in street.news() if entry[0] is NEW] == [
        (1, None),
        (2, 1),
        (3, None),
    ]


def test_who_is_removed_meanwhile_is_not_named_again() -> None:
    street = Street()
    street.see(1, ANNA, x=200)
    street.end(1)
    street.decisions.use(policy("ben"))
    street.see(2, ANNA, x=210)
    assert street.news()[-1] == (NEW, 2, 1, None)


def test_nothing_is_continued_over_a_break_or_when_it_is_off() -> None:
    for memory_s, is_break in ((MEMORY_S, True), (0.0, False)):
        street = Street(memory_s)
        street.see(1, ZOE, x=200)
        street.end(1)
        if is_break:
            street.decisions.forget_recent()
        street.see(2, ZOE, x=210)
        assert street.news()[-1] == (NEW, 2, None, None)


def test_tracks_that_nobody_continued_in_time_are_let_go() -> None:
    """Also at a camera that is looked at so seldom that no track has crops enough to be told."""
    street = Street()
    for number in range(1, 301):
        street.see(number, ZOE, x=100.0, times=MIN_CROPS - 1)
        street.end(number)
        street.now_s += 5.0
    kept = [each.visit for each in gc.get_objects() if isinstance(each, PastTrack)]
    assert sorted(kept) == list(range(301 - len(kept), 301)), "the newest"
    assert len(kept) < 20
