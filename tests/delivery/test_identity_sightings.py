"""One person in view of several cameras of an agent: one state, which names every view."""

from __future__ import annotations

from dataclasses import replace

from support.decided_tracks import ORIGIN, a_hit

from edge_reid.core.types import HitType
from edge_reid.delivery.identity_sightings import IdentityNews, Sightings
from edge_reid.wire.events import Event
from edge_reid.wire.payloads import HitPayload


def hit(seq: int, camera: str, track: int, kind: HitType = HitType.NEW) -> HitPayload:
    event = Event(replace(a_hit(track), type=kind), replace(ORIGIN, camera=camera))
    payload = event.payload(seq)
    assert isinstance(payload, HitPayload)
    return payload


def said(news: IdentityNews | None) -> tuple[int, list[str]] | None:
    """The number of the hit that is told, and the cameras that have the person in view."""
    return (news.hit.seq, sorted(view.camera for view in news.views)) if news else None


def test_who_walks_from_one_camera_into_another_is_in_both_and_then_in_the_other() -> None:
    ana = Sightings()
    assert said(ana.take_in(hit(1, "gate", 1))) == (1, ["gate"])
    assert said(ana.take_in(hit(2, "door", 1))) == (2, ["door", "gate"])
    assert said(ana.take_in(hit(3, "gate", 1, HitType.END))) == (2, ["door"])
    assert said(ana.take_in(hit(4, "door", 1, HitType.END))) == (4, [])


def test_the_end_of_the_newer_view_leaves_the_older_one() -> None:
    ana = Sightings()
    ana.take_in(hit(1, "gate", 1))
    ana.take_in(hit(2, "door", 1))
    assert said(ana.take_in(hit(3, "door", 1, HitType.END))) == (1, ["gate"])


def test_the_end_of_a_track_that_another_one_has_replaced_tells_nothing() -> None:
    ana = Sightings()
    ana.take_in(hit(1, "gate", 1))
    assert said(ana.take_in(hit(2, "gate", 2))) == (2, ["gate"])
    assert ana.take_in(hit(3, "gate", 1, HitType.END)) is None


def test_what_is_sent_again_tells_the_same_again_and_what_is_older_nothing() -> None:
    ana = Sightings()
    ana.take_in(hit(1, "gate", 1))
    told = ana.take_in(hit(2, "door", 1))
    assert ana.take_in(hit(1, "gate", 1)) is None
    assert ana.take_in(hit(2, "door", 1)) == told
    ended = ana.take_in(hit(3, "door", 1, HitType.END))
    assert ana.take_in(hit(3, "door", 1, HitType.END)) == ended
