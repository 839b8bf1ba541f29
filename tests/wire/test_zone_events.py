"""Events of zones and lines on the wire: what they say, and that each has an id of its own."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest
from support.decided_tracks import ANA, ORIGIN, a_zone_event, an_event

from edge_reid.consumers.attribution import topic_mismatch
from edge_reid.core.geometry import Box
from edge_reid.core.types import ZoneChangeType
from edge_reid.wire.payloads import ZonePayload, parse_event
from edge_reid.wire.schemas import json_schemas

ENTERED, LEFT = ZoneChangeType.ENTERED, ZoneChangeType.LEFT


def test_who_leaves_says_where_when_and_since_when() -> None:
    event = a_zone_event(7, LEFT, continues=3)
    found = json.loads(event.payload(12).to_json())
    event_id = found.pop("event_id")
    assert len(event_id) == 36
    assert found == {
        "schema": "edge-reid.zone/1",
        "seq": 12,
        "type": "left",
        "site": "lab",
        "agent": "gate-1",
        "camera": "gate",
        "track_id": 7,
        "continues": 3,
        "zone": "desk",
        "line": None,
        "direction": None,
        "at": "1970-01-01T00:00:09.000Z",
        "entered_at": "1970-01-01T00:00:08.000Z",
        "decided_at": "1970-01-01T00:00:09.500Z",
        "first_seen": "1970-01-01T00:00:07.000Z",
        "last_seen": "1970-01-01T00:00:09.000Z",
        "box": [10.0, 20.0, 50.1, 120.0],
        "frame_size": [768, 576],
        "replayed": False,
    }
    assert (event.topic, event.named) == ("edge-reid/lab/gate/zone", None)


def test_who_crosses_a_line_says_in_which_direction() -> None:
    found = a_zone_event(7, ZoneChangeType.CROSSED, "door").payload(1)
    assert (found.zone, found.line, found.direction) == (None, "door", "in")
    assert found.entered_at is None


@pytest.mark.parametrize("kind", ZoneChangeType)
def test_what_is_sent_fits_its_schema_and_is_read_back(kind: ZoneChangeType) -> None:
    sent = a_zone_event(1, kind).payload(1, replayed=True)
    jsonschema.validate(json.loads(sent.to_json()), json_schemas()["edge-reid.zone/1"])
    assert parse_event(sent.to_json().encode()) == sent


def test_no_two_events_have_one_id_and_the_same_event_has_the_same() -> None:
    first = a_zone_event(1)
    change = first.change
    others = [
        a_zone_event(2),
        a_zone_event(1, LEFT),
        a_zone_event(1, ENTERED, "door"),
        *(
            replace(first, change=replace(change, **changes))
            for changes in ({"at_utc_s": 5.0}, {"frame_size_px": (1, 1)}, {"direction": "out"})
        ),
        replace(first, change=replace(change, track=replace(change.track, box=Box(0, 0, 9, 9)))),
        *(
            replace(first, origin=replace(ORIGIN, **changes))
            for changes in ({"camera": "yard"}, {"source": "another recording"})
        ),
    ]
    ids = [event.payload(1).event_id for event in (first, *others)]
    assert len(set(ids)) == len(ids)
    assert a_zone_event(1).payload(9, replayed=True).event_id == ids[0]
    assert an_event(1, ANA).payload(1).event_id not in ids


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "left-and-came-back"},
        {"zone": "two words"},
        {"zone": "x" * 65},
        {"direction": "sideways"},
        {"at": "yesterday"},
        {"at": "2026-13-01T00:00:00.000Z"},
        {"track_id": 0},
        {"seq": 2**53},
        {"box": [0, 0, 1e9, 1]},
        {"schema": "edge-reid.zone/2"},
    ],
)
def test_what_is_out_of_its_bounds_is_no_event(changes: dict[str, object]) -> None:
    content = json.loads(a_zone_event(1).payload(1).to_json()) | changes
    with pytest.raises(ValueError, match=r"validation error|tag"):
        parse_event(json.dumps(content).encode())


def test_it_comes_on_its_own_topic_or_is_none() -> None:
    event = a_zone_event(1).payload(1)
    assert isinstance(event, ZonePayload)
    assert topic_mismatch(event, "edge-reid/lab/gate/zone", "edge-reid") is None
    for topic in ("edge-reid/lab/gate/hit", "edge-reid/lab/yard/zone", "edge-reid/farm/gate/zone"):
        mismatch = topic_mismatch(event, topic, "edge-reid")
        assert mismatch == "it claims to be a zone's event of lab/gate"
    assert topic_mismatch(an_event(1).payload(1), "edge-reid/lab/gate/zone", "edge-reid")
