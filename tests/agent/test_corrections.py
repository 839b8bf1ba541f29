"""A published name that turns out wrong is taken back, ahead of what is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.consumer import Consumer, eventually
from support.decided_tracks import ADDRESS, ANA, ORIGIN, STRANGER, a_hit
from support.gallery_publisher import DIMENSION, MODEL, portraits
from support.mosquitto import Mosquitto
from support.policies import CameralessParts, without_camera

from edge_reid.agent.corrections import ENDED_KEPT, Corrections, PublishedName
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.types import Embedding, HitType, Known, Unknown
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.index import Index
from edge_reid.wire.events import Event
from edge_reid.wire.payloads import HitPayload, parse_event

ZOE = Known("zoe", 0.9, 0.6, 0.3, 5)


def published(*events: Event) -> list[Event]:
    """All that is published of these events, in order."""
    corrections = Corrections()
    return [one for event in events for one in corrections.with_correction(event)]


def event(track: int, decision: Known | Unknown, kind: HitType, at_s: float = 0.0) -> Event:
    return Event(replace(a_hit(track, decision, kind), decided_utc_s=at_s), ORIGIN)


def in_short(events: list[Event]) -> list[tuple[str, int, str | None]]:
    payloads = [one.payload(1) for one in events]
    return [(one.type, one.track_id, one.identity) for one in payloads]


def test_of_an_ended_track_one_embedding_is_kept_for_all() -> None:
    """Hundreds of such tracks are remembered, for as long as nobody says that one was wrong."""
    together = np.random.default_rng(3).normal(size=(8, DIMENSION)).astype(np.float32)
    qualities = (0.9, 0.4, 0.1)
    own = tuple(Embedding(row, MODEL, q) for row, q in zip(together[:3], qualities, strict=True))
    end = event(1, ANA, HitType.END)
    corrections = Corrections()
    corrections.with_correction(replace(end, hit=replace(end.hit, embeddings=own)))
    (wrong,) = corrections.of_wrong(PublishedName(ORIGIN.camera, 1, "ana"))
    (kept,) = wrong.hit.embeddings
    assert mean_vector((kept,), MODEL) == pytest.approx(mean_vector(own, MODEL))
    assert not np.shares_memory(kept.vector, together)


def test_the_events_of_a_track_are_forgotten_with_it() -> None:
    """Or thousands of ids would be kept of which nothing can be taken back any more."""
    corrections = Corrections()
    for track in range(1, ENDED_KEPT + 4):
        for kind in (HitType.NEW, HitType.UPDATE, HitType.END):
            corrections.with_correction(event(track, ANA, kind, 10.0 * track))
    told = {
        track: [
            corrections.published_as(event(track, ANA, kind, 10.0 * track).payload(1).event_id)
            for kind in (HitType.NEW, HitType.UPDATE, HitType.END)
        ]
        for track in (3, 4)
    }
    assert told[3] == [None] * 3
    assert told[4] == [PublishedName(ORIGIN.camera, 4, "ana")] * 3


def test_who_is_taken_for_somebody_else_now_is_taken_back_first() -> None:
    first = event(1, ANA, HitType.NEW, 10.0)
    better = event(1, ZOE, HitType.UPDATE, 12.0)
    all_of_them = published(first, better, event(1, ZOE, HitType.END, 13.0))
    assert in_short(all_of_them) == [
        ("new", 1, "ana"),
        ("correction", 1, "ana"),
        ("update", 1, "zoe"),
        ("end", 1, "zoe"),
    ]
    correction = all_of_them[1].payload(2)
    assert isinstance(correction, HitPayload)
    assert correction.corrects == first.payload(1).event_id
    assert correction.event_id != correction.corrects
    assert correction.decided_at == better.payload(3).decided_at
    assert correction.similarity == first.payload(1).similarity


def test_who_turns_out_to_be_nobody_is_taken_back() -> None:
    assert in_short(published(event(1, ANA, HitType.NEW), event(1, STRANGER, HitType.NEW))) == [
        ("new", 1, "ana"),
        ("correction", 1, "ana"),
        ("new", 1, None),
    ]


def test_the_newest_of_several_events_is_named() -> None:
    update = event(1, replace(ANA, similarity=0.95), HitType.UPDATE, 11.0)
    *_, correction, _ = published(
        event(1, ANA, HitType.NEW, 10.0), update, event(1, ZOE, HitType.UPDATE, 12.0)
    )
    assert correction.corrects == update.payload(1).event_id


def test_two_who_swapped_are_both_taken_back() -> None:
    begin = event(1, ANA, HitType.NEW), event(2, ZOE, HitType.NEW)
    swapped = event(1, ZOE, HitType.UPDATE), event(2, ANA, HitType.UPDATE)
    assert in_short(published(*begin, *swapped))[2:] == [
        ("correction", 1, "ana"),
        ("update", 1, "zoe"),
        ("correction", 2, "zoe"),
        ("update", 2, "ana"),
    ]


def test_what_stays_or_becomes_known_is_no_correction() -> None:
    events = (
        event(1, STRANGER, HitType.NEW),
        event(1, ANA, HitType.NEW),
        event(1, ANA, HitType.END),
        event(2, ZOE, HitType.NEW),
    )
    assert published(*events) == list(events)


def test_who_is_removed_is_taken_back_once_and_only_while_in_view() -> None:
    corrections = Corrections()
    for one in (
        event(1, ANA, HitType.NEW),
        event(2, ZOE, HitType.NEW),
        event(3, ANA, HitType.NEW),
        event(3, ANA, HitType.END),
    ):
        corrections.with_correction(one)
    removed = corrections.of_removed({"zoe"}, ORIGIN, 20.0)
    assert in_short(removed) == [("correction", 1, "ana")]
    assert removed[0].hit.decided_utc_s == 20.0
    assert corrections.of_removed({"zoe"}, ORIGIN, 21.0) == []
    again = event(1, STRANGER, HitType.NEW)
    assert corrections.with_correction(again) == (again,)


def test_the_same_events_make_the_same_corrections() -> None:
    events = event(1, ANA, HitType.NEW, 10.0), event(1, ZOE, HitType.UPDATE, 12.0)
    lines = [[one.payload(1).to_json() for one in published(*events)] for _ in range(2)]
    assert lines[0] == lines[1]


def test_only_a_correction_says_what_it_corrects() -> None:
    new, correction, _ = published(event(1, ANA, HitType.NEW), event(1, ZOE, HitType.UPDATE))
    assert "corrects" not in new.payload(1).to_json()
    again = parse_event(correction.payload(1).to_json().encode())
    assert again == correction.payload(1)


@pytest.fixture
def agent(broker: Mosquitto, tmp_path: Path) -> Iterator[CameralessParts]:
    """All of an agent but its camera; ana and zoe are enrolled."""
    with GalleryStore.create(tmp_path / "gallery.db", MODEL, DIMENSION) as store:
        store.add_all([*portraits("ana"), *portraits("zoe")])
    settings = AgentSettings.model_validate(
        {
            "site": "lab",
            "camera": "gate",
            "agent": "gate-1",
            "gallery": tmp_path / "gallery.db",
            "source": {"uri": "0"},
            "mqtt": {"url": broker.url},
        }
    )
    with GalleryStore.open(tmp_path / "gallery.db") as store, ExitStack() as stack:
        yield without_camera(settings, Index(store.snapshot()), stack)


@pytest.mark.broker
def test_the_state_of_who_was_taken_back_says_that_they_are_not_in_view(
    broker: Mosquitto, agent: CameralessParts
) -> None:
    with Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        agent.output.write([a_hit(1)])
        agent.output.write([a_hit(1, ZOE, HitType.UPDATE)])
        assert agent.uplink.publisher.flush(10) == 0
        hits = consumer.wait_for("gate/hit", count=3)
        states = consumer.wait_for(ADDRESS.identity("ana"), count=2)
        zoe = consumer.wait_for(ADDRESS.identity("zoe"))
    assert [hit["type"] for hit in hits] == ["new", "correction", "update"]
    assert [hit["seq"] for hit in hits] == [1, 2, 3]
    assert [state["in_view"] for state in states] == [True, False]
    assert states[-1]["views"] == []
    assert zoe[-1]["in_view"]


@pytest.mark.broker
def test_who_is_removed_while_in_view_is_taken_back_and_then_forgotten(
    broker: Mosquitto, agent: CameralessParts, tmp_path: Path
) -> None:
    with Consumer(broker.broker()) as consumer:
        eventually(lambda: consumer.is_subscribed)
        agent.output.write([a_hit(1)])
        consumer.wait_for("gate/hit")
        with GalleryStore.open(tmp_path / "gallery.db") as store:
            store.remove("ana")
            agent.policies.use_gallery(Index(store.snapshot()))
        agent.between_frames.run(None, None)
        new, correction = consumer.wait_for("gate/hit", count=2)
        eventually(lambda: agent.uplink.publisher.has_retracted)
        assert correction["type"] == "correction"
        assert correction["corrects"] == new["event_id"]
        topic = ADDRESS.identity("ana")
        bodies = [it.body for it in consumer.messages if it.topic == topic]
        eventually(lambda: consumer.messages[-1].body == b"" or bodies[-1] == b"")
    assert agent.uplink.outbox.figures.depth == 0
    assert agent.uplink.outbox.shown == set()
