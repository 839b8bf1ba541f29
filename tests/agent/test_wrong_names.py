"""An operator says that somebody was not who they were published as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from support.decided_tracks import ORIGIN, STRANGER, a_hit
from support.gallery_examples import template
from support.policies import NO_NAMES, policy_of

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.corrections import ENDED_KEPT, PublishedName
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.agent.track_decisions import TrackDecisions
from edge_reid.agent.track_state import EmbeddedCrop, TrackReport
from edge_reid.agent.wrong_names import WrongNames
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.geometry import Box
from edge_reid.core.types import (
    Embedding,
    GallerySnapshot,
    Hit,
    HitType,
    Known,
    Track,
    Unknown,
)
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.wire.events import Event, event_id
from edge_reid.wire.payloads import parse_event

MODEL_ID = "0123456789abcdef"
ANNA, BEN, NOBODY = np.eye(4, dtype=np.float32)[:3]
GALLERY = GallerySnapshot(
    ("anna", "ben"), np.array([0, 1], np.int32), np.stack([ANNA, BEN]), MODEL_ID, version=1
)
IMPOSTORS = ((0.1, 0.3), (0.01, 0.5), (0.001, 0.65))
WRONG = PublishedName("gate", 1, "ana")


class Street:
    """Who a camera sees, in one place; two crops are enough to name somebody."""

    def __init__(self) -> None:
        rules = DecideSettings(threshold=0.6, min_crops=2)
        policy = MatchPolicy(Index(GALLERY), rules, GalleryThresholds(IMPOSTORS))
        self.decisions = TrackDecisions(policy, keep=4, relink_s=10.0)
        self.now_s = 100.0
        self.told: list[TrackReport] = []

    def see(self, track_id: int, look: np.ndarray, times: int = 2, x: float = 0.0) -> None:
        for _ in range(times):
            self.now_s += 0.4
            box = Box(x, 0, x + 40, 100)
            where = Track(track_id, box, 0.9, True, self.now_s, self.now_s)
            self.decisions.locate([where])
            crop = EmbeddedCrop(Embedding(unit(look), MODEL_ID, 0.8), box, self.now_s)
            report = self.decisions.observe(track_id, [crop])
            self.told += [report] if report else []
            self.told += self.decisions.redecide()

    def deny(self, visit: int, identity: str) -> None:
        self.decisions.deny(visit, identity)
        self.told += self.decisions.redecide()

    def end(self, track_id: int) -> None:
        self.told += self.decisions.close(track_id).reports
        self.told += self.decisions.redecide()

    @property
    def names(self) -> list[tuple[int, str, str | None]]:
        return [(one.track_id, one.kind.value, name_in(one.decision)) for one in self.told]


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def name_in(decision: Known | Unknown) -> str | None:
    return decision.identity if isinstance(decision, Known) else None


def test_a_track_is_not_told_under_a_name_that_was_denied() -> None:
    street = Street()
    street.see(1, ANNA)
    street.deny(1, "anna")
    street.see(1, ANNA, times=6)
    street.end(1)
    assert street.names == [(1, "new", "anna"), (1, "new", None), (1, "end", None)]


def test_somebody_else_may_have_the_name_now() -> None:
    street = Street()
    street.see(1, ANNA)
    street.see(2, ANNA + 0.1 * BEN, x=300)
    assert street.names == [(1, "new", "anna")], "nobody is in two places"
    street.deny(1, "anna")
    assert (2, "new", "anna") in street.names
    assert (1, "new", None) in street.names


def test_the_next_person_is_named_only_if_they_would_be_without_the_first() -> None:
    both = Street()
    both.see(1, ANNA + 0.8 * BEN)
    both.deny(1, "anna")
    assert both.names[-1] == (1, "new", "ben")
    less = Street()
    less.see(1, ANNA + 0.6 * BEN)
    less.deny(1, "anna")
    assert less.names[-1] == (1, "new", None)


def test_who_comes_back_as_another_track_does_not_get_it_either() -> None:
    street = Street()
    street.see(1, ANNA)
    street.end(1)
    street.deny(1, "anna")
    street.see(2, ANNA, times=4)
    assert street.told[-1].continues == 1
    assert "anna" not in {name for track, _, name in street.names if track == 2}


def test_a_visit_that_has_gone_on_as_another_track_loses_it_there() -> None:
    street = Street()
    street.see(1, ANNA)
    street.end(1)
    street.see(2, ANNA, times=3)
    assert street.names[-1] == (2, "new", "anna")
    street.deny(1, "anna")
    assert street.names[-1] == (2, "new", None)


class Camera:
    """What a camera publishes."""

    def __init__(self) -> None:
        snapshot = replace(GALLERY, identities=("ana", "zoe"), version=5)
        self.policies = PolicyHolder(policy_of(Index(snapshot)))
        self.events: list[Event] = []
        self.output = EventOutput(
            ORIGIN, self.policies, names=NO_NAMES, commit=self._commit, lines=None
        )

    def _commit(self, event: Event) -> int:
        self.events.append(event)
        return len(self.events)

    def write(self, *hits: Hit) -> None:
        for hit in hits:
            self.output.write([hit])

    @property
    def newest_id(self) -> str:
        return event_id(self.events[-1].hit, self.events[-1].origin)


def test_a_name_is_taken_back_with_the_last_event_that_told_it() -> None:
    camera = Camera()
    camera.write(a_hit(1), replace(a_hit(1, type_=HitType.UPDATE), decided_utc_s=9.0))
    told = camera.newest_id
    assert len(camera.output.take_back(WRONG)) == 1
    correction = camera.events[-1].payload(3)
    assert parse_event(correction.to_json().encode()) == correction
    assert correction.type == "correction"
    assert (correction.identity, correction.track_id) == ("ana", 1)
    assert (correction.corrects, correction.corrected_by) == (told, "operator")
    assert correction.gallery_version == 5
    assert correction.decided_at == camera.events[1].payload(2).decided_at, "a recording's time"


def test_it_is_taken_back_once_and_what_comes_next_is_told_as_it_is() -> None:
    camera = Camera()
    camera.write(a_hit(1))
    camera.output.take_back(WRONG)
    assert camera.output.take_back(WRONG) == ()
    camera.write(a_hit(1, STRANGER))
    assert [event.payload(1).type for event in camera.events] == ["new", "correction", "new"]


def test_who_has_left_can_be_taken_back_and_whoever_it_was_before_them() -> None:
    camera = Camera()
    camera.write(a_hit(1), a_hit(1, type_=HitType.END))
    heir = replace(a_hit(2), continues=1)
    camera.write(heir)
    assert [event.hit.track_id for event in camera.output.take_back(WRONG)] == [1, 2]
    types = [event.payload(1).type for event in camera.events]
    assert types == ["new", "end", "new", "correction", "correction"]


def test_any_event_that_told_it_leads_to_it() -> None:
    camera = Camera()
    camera.write(a_hit(1))
    first = camera.newest_id
    camera.write(a_hit(1, type_=HitType.END))
    assert camera.output.published_as(first) == WRONG
    assert camera.output.published_as(camera.newest_id) == WRONG
    assert camera.output.published_as("of somebody else") is None
    camera.output.take_back(WRONG)
    assert camera.output.published_as(first) is None


def test_a_name_that_was_not_told_is_not_taken_back() -> None:
    camera = Camera()
    camera.write(a_hit(1), a_hit(2, STRANGER))
    for name in (PublishedName("gate", 1, "zoe"), PublishedName("gate", 2, "ana")):
        assert camera.output.take_back(name) == ()
    assert len(camera.events) == 2


def test_what_is_remembered_has_a_bound_and_nobody_who_was_removed() -> None:
    camera = Camera()
    camera.write(*(a_hit(track, type_=HitType.END) for track in range(1, ENDED_KEPT + 2)))
    assert camera.output.take_back(WRONG) == (), "long ago"
    last = PublishedName("gate", ENDED_KEPT + 1, "ana")
    told = camera.newest_id
    only_zoe = replace(GALLERY, identities=("nobody", "zoe"))
    camera.policies.swap(camera.policies.current.with_gallery(Index(only_zoe)))
    camera.output.take_back_removed()
    assert camera.output.published_as(told) is None
    assert camera.output.take_back(last) == ()


def test_other_corrections_say_what_made_them() -> None:
    camera = Camera()
    camera.write(a_hit(1), a_hit(1, Known("zoe", 0.9, 0.6, 0.3, 5), HitType.UPDATE), a_hit(2))
    only_zoe = replace(GALLERY, identities=("nobody", "zoe"))
    camera.policies.swap(camera.policies.current.with_gallery(Index(only_zoe)))
    camera.output.take_back_removed()
    payloads = [event.payload(1) for event in camera.events]
    said = [one.corrected_by for one in payloads if one.type == "correction"]  # type: ignore[attr-defined]
    assert said == ["decision", "removal"]


def wrong_names(gallery: Path | None) -> WrongNames:
    policies = CameraPolicies({"gate": PolicyHolder(policy_of(Index(GALLERY)))})
    return WrongNames((), FrameJobs(), policies, gallery)


def seen_as(look: np.ndarray) -> Event:
    """ana, by two equal crops."""
    embedding = Embedding(unit(look), MODEL_ID, 0.8)
    return Event(replace(a_hit(1), embeddings=(embedding, embedding)), ORIGIN)


def test_the_doctor_hears_of_the_template_that_was_most_alike(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    with GalleryStore.create(path, MODEL_ID, 4) as store:
        looks = {"ana": (ANNA, BEN), "zoe": (NOBODY,)}
        store.add_all(
            [
                template(name, seed, vector=look, photo_name="secret.png")
                for name, those in looks.items()
                for seed, look in enumerate(those)
            ]
        )
        said = wrong_names(path)._tell_doctor(WRONG, seen_as(BEN + 0.3 * ANNA))
        (complaint,) = store.complaints()
        assert complaint.template_id == 2
        assert f"{complaint.similarity:.2f}" == f"{unit(BEN + 0.3 * ANNA) @ BEN:.2f}"
        assert "template 2 misled" in said
        assert "secret" not in said, "names of photos are not published"
        store.remove("ana")
        said = wrong_names(path)._tell_doctor(WRONG, seen_as(BEN))
    assert "no template is left" in said


def test_where_the_gallery_is_published_from_elsewhere_its_publisher_is_to_be_told() -> None:
    said = wrong_names(None)._tell_doctor(WRONG, seen_as(BEN))
    assert "tell whoever publishes it" in said
