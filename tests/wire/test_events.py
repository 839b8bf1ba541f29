from __future__ import annotations

import gc
import json
import tracemalloc
import uuid
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.decided_tracks import ADDRESS, ANA, ORIGIN, STRANGER, a_hit, an_event

from edge_reid.core.geometry import Box
from edge_reid.core.types import Embedding, HitType, Known, Unknown
from edge_reid.wire.events import (
    CameraReport,
    CameraState,
    Event,
    LookReport,
    camera_status_message,
    event_line,
    identity_message,
    rfc3339,
)
from edge_reid.wire.payloads import parse_event
from edge_reid.wire.topics import CAMERA_LEVELS, topic_level


def test_a_known_track_is_a_hit() -> None:
    event = an_event(track_id=7)
    assert event.topic == "edge-reid/lab/gate/hit"
    assert json.loads(event.payload(12).to_json()) == {
        "schema": "edge-reid.hit/1",
        "event_id": event.payload(1).event_id,
        "seq": 12,
        "type": "new",
        "site": "lab",
        "agent": "gate-1",
        "camera": "gate",
        "track_id": 7,
        "continues": None,
        "zones": None,
        "identity": "ana",
        "stranger": None,
        "similarity": 0.8123,
        "threshold": 0.6,
        "margin": 0.2,
        "crops": 3,
        "captured_at": "1970-01-01T00:00:08.500Z",
        "decided_at": "1970-01-01T00:00:09.000Z",
        "first_seen": "1970-01-01T00:00:07.000Z",
        "last_seen": "1970-01-01T00:00:09.000Z",
        "box": [10.0, 20.0, 50.1, 120.0],
        "frame_size": [768, 576],
        "model_id": "0123456789abcdef",
        "gallery_version": 3,
        "replayed": False,
    }


def test_an_unknown_has_the_same_fields_with_nobody_in_them() -> None:
    event = an_event(decision=STRANGER)
    assert event.topic == "edge-reid/lab/gate/unknown"
    payload = json.loads(event.payload(1).to_json())
    assert payload["schema"] == "edge-reid.unknown/1"
    assert payload["identity"] is None
    assert payload["margin"] is None
    assert payload["similarity"] == 0.41
    assert payload.keys() == json.loads(an_event().payload(1).to_json()).keys()


def test_numpy_numbers_are_numbers() -> None:
    known = Known("ana", np.float32(0.8), np.float64(0.6), np.float32(0.1), np.int64(3))  # type: ignore[arg-type]
    payload = an_event(decision=known).payload(1)
    assert (payload.similarity, payload.threshold, payload.margin, payload.crops) == (
        0.8,
        0.6,
        0.1,
        3,
    )


def test_nothing_is_minus_zero() -> None:
    payload = an_event(decision=Unknown(-0.00001, 0.6, 3)).payload(1)
    assert '"similarity":0.0,' in payload.to_json()


def test_an_empty_gallery_and_a_lonely_identity_have_nothing_to_compare() -> None:
    assert an_event(decision=Unknown(None, 0.6, 3)).payload(1).similarity is None
    assert an_event(decision=Known("ana", 0.9, 0.6, None, 3)).payload(1).margin is None


def test_the_same_event_has_the_same_id_and_any_other_has_another() -> None:
    origin = ORIGIN
    events = [
        an_event(1),
        an_event(2),
        an_event(1, type_=HitType.END),
        an_event(1, STRANGER),
        an_event(1, Known("ana", 0.9, 0.6, 0.2, 3)),
        Event(a_hit(), type(origin)(ADDRESS, "door", origin.model_id, origin.gallery_version)),
        Event(a_hit(), type(origin)(ADDRESS, "gate", "another", origin.gallery_version)),
        Event(a_hit(), type(origin)(ADDRESS, "gate", origin.model_id, 4)),
        Event(a_hit(), replace(origin, source="of another recording")),
        Event(replace(a_hit(), box=Box(11, 20, 50, 120)), origin),
        Event(replace(a_hit(), captured_utc_s=2.25), origin),
        Event(replace(a_hit(), last_seen_utc_s=3.25), origin),
        Event(replace(a_hit(), frame_size_px=(640, 480)), origin),
    ]
    assert len({event.payload(1).event_id for event in events}) == len(events)
    assert an_event(1).payload(1).event_id == an_event(1).payload(99, replayed=True).event_id


def test_an_anonymous_name_is_part_of_what_an_event_says() -> None:
    plain = an_event(2, STRANGER)
    named = replace(plain, hit=replace(plain.hit, stranger="anon-3fa2c1-12"))
    assert named.payload(1).stranger == "anon-3fa2c1-12"
    assert named.topic == plain.topic
    assert named.payload(1).event_id != plain.payload(1).event_id


def test_no_embedding_is_published() -> None:
    plain = an_event(2, STRANGER)
    look = Embedding(np.ones(4, np.float32) / 2, "0123456789abcdef", 0.5)
    with_look = replace(plain, hit=replace(plain.hit, embeddings=(look,)))
    assert with_look.payload(1).to_json() == plain.payload(1).to_json()
    assert "array" not in repr(with_look)


def test_event_ids_stay_what_they_are_over_releases() -> None:
    """As they are since 0.5; before, two recordings could give the same."""
    assert an_event(1).payload(1).event_id == "38563b5b-1aca-5eda-a771-a8bad42181b7"


def test_a_line_of_an_events_file_is_the_payload() -> None:
    payload = an_event(decision=ANA).payload(3)
    line = event_line(payload)
    assert "\n" not in line
    assert parse_event(line.encode()) == payload


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"schema": "edge-reid.hit/1"}', b"\xff\xfe"])
def test_what_is_no_event_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        parse_event(body)


def test_fields_of_a_newer_agent_are_let_pass() -> None:
    payload = an_event().payload(1)
    newer = json.dumps({**json.loads(payload.to_json()), "mood": "fine"}).encode()
    assert parse_event(newer) == payload


def test_the_state_of_an_identity_is_its_newest_hit_in_short() -> None:
    end = an_event(5, type_=HitType.END).payload(1)
    message = identity_message(end, ADDRESS)  # type: ignore[arg-type]
    assert message.topic == "edge-reid/lab/identities/ana"
    assert message.retain
    state = json.loads(message.text)
    assert state["schema"] == "edge-reid.identity/1"
    assert (state["identity"], state["camera"], state["in_view"]) == ("ana", "gate", False)
    assert state["last_seen"] == "1970-01-01T00:00:07.000Z"
    assert state["event_id"] == end.event_id


def test_camera_status() -> None:
    report = CameraReport("stalled", 250, 3, 24.96, 10.0, "no frame for 10 s", "no-picture")
    message = camera_status_message(ADDRESS, "gate", report, now_utc_s=20.0)
    assert message.topic == "edge-reid/lab/gate/status"
    assert message.retain
    assert json.loads(message.text) == {
        "schema": "edge-reid.camera/1",
        "site": "lab",
        "agent": "gate-1",
        "camera": "gate",
        "state": "stalled",
        "reason": "no frame for 10 s",
        "fault": "no-picture",
        "fps": 25.0,
        "frames": 250,
        "frames_dropped": 3,
        "last_frame_at": "1970-01-01T00:00:10.000Z",
        "persons_in_view": None,
        "looks": None,
        "degraded": None,
        "drift": None,
        "inactive_until": None,
        "streams": None,
        "period_s": None,
        "at": "1970-01-01T00:00:20.000Z",
    }


def test_a_live_camera_says_how_often_and_how_late_it_is_looked_at() -> None:
    looks = LookReport(
        wanted_hz=5.0,
        present_hz=2.91666,
        p50_ms=180.04,
        p95_ms=433.333,
        events_p95_ms=None,
        missed=7,
        crops_per_look=None,
        uncompared=12,
        is_degraded=True,
    )
    report = CameraReport("running", looks=looks)
    status = json.loads(camera_status_message(ADDRESS, "gate", report, now_utc_s=20.0).text)
    assert status["degraded"] is True
    assert status["looks"] == {
        "wanted_hz": 5.0,
        "present_hz": 2.92,
        "p50_ms": 180.0,
        "p95_ms": 433.3,
        "events_p95_ms": None,
        "missed": 7,
        "crops_per_look": None,
        "uncompared": 12,
    }


def test_a_camera_that_goes_on_says_how_often_and_is_forgotten_when_it_does_not() -> None:
    def told(state: CameraState) -> tuple[object, int | None]:
        report = CameraReport(state)
        message = camera_status_message(ADDRESS, "gate", report, 20.0, period_s=10.0)
        return json.loads(message.text)["period_s"], message.expiry_s

    assert told("running") == told("starting") == told("stalled") == (10.0, 30)
    assert told("ended") == told("failed") == (None, None), "nothing more will come"


@pytest.mark.parametrize("name", CAMERA_LEVELS)
def test_nobodys_name_ends_a_camera_s_topic(name: str) -> None:
    assert topic_level(name) != name
    assert topic_level(name).startswith(f"{name}-")


@pytest.mark.parametrize(
    ("utc_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_772_366_400.2504, "2026-03-01T12:00:00.250Z"),
        (0.9996, "1970-01-01T00:00:01.000Z"),  # rounds up into the next second
        (-0.25, "1969-12-31T23:59:59.750Z"),
    ],
)
def test_times_are_utc_to_the_millisecond(utc_s: float, text: str) -> None:
    assert rfc3339(utc_s) == text


def test_plain_names_are_their_own_topic_level() -> None:
    assert topic_level("ana_b-2") == "ana_b-2"


@pytest.mark.parametrize("name", ["Ana María", "ANA", "a/b", "#", "+", "王芳", "x" * 65, "ana b"])
def test_other_names_become_letters_of_a_topic(name: str) -> None:
    level = topic_level(name)
    assert level.strip("abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
    assert 8 <= len(level) <= 64


def test_accents_and_spaces_leave_a_readable_level() -> None:
    assert topic_level("Ana María").startswith("ana-maria-")


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_two_names_share_a_level(one: str, other: str) -> None:
    assert (topic_level(one) == topic_level(other)) == (one == other)


def test_reading_events_keeps_nothing_of_them() -> None:
    """Of the strings in 16,384 of them 1.3 MB stayed."""
    told = json.loads(Event(a_hit(1, ANA, HitType.NEW), ORIGIN).payload(1).to_json())
    bodies = [json.dumps(told | {"event_id": str(uuid.UUID(int=n))}).encode() for n in range(3000)]
    parse_event(bodies[0])
    tracemalloc.start()
    try:
        for body in bodies:
            parse_event(body)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 20_000
