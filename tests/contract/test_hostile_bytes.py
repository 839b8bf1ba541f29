"""Whatever comes over the wire or stands in a file: it is understood or refused, nothing else.

500 cases a parser in the quick run, 10,000 in `make soak`. Half of them are a valid body with a few
bytes or fields changed: those get further in than noise does.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.decided_tracks import ADDRESS, STRANGER, a_zone_event, an_event

from edge_reid.cli.fleet_table import fleet_table
from edge_reid.consumers.event_store import COLUMNS, row
from edge_reid.consumers.fleet import Fleet
from edge_reid.consumers.zone_rows import zone_event_of, zone_row
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError
from edge_reid.core.types import ZoneChangeType
from edge_reid.mqtt.connection import Received
from edge_reid.wire.commands import Command, CommandResult, Picture
from edge_reid.wire.events import identity_message
from edge_reid.wire.payloads import (
    AgentDuplicate,
    AgentStatus,
    CameraStatus,
    DeviceUpdate,
    EventsStored,
    HitPayload,
    IdentityState,
    Payload,
    ZonePayload,
    parse_event,
)
from edge_reid.wire.schemas import PAYLOADS
from edge_reid.wire.shared_strangers import SharedStranger, StrangerErasure, StrangerErasures
from edge_reid.wire.topics import topic_level

EXAMPLE_CONFIG = (Path(__file__).parents[2] / "deploy" / "agent.toml").read_bytes()
AT = "2026-03-01T12:00:00.250Z"
NO_TIME = "2026-99-99T99:99:99.999Z"
VALID = (
    an_event(1).payload(1).to_json(),
    an_event(2, STRANGER).payload(2).to_json(),
    a_zone_event(1, ZoneChangeType.LEFT).payload(3).to_json(),
    str(identity_message(an_event(1).payload(1), ADDRESS).text),  # type: ignore[arg-type]
    CameraStatus(site="lab", agent="a", camera="gate", state="running", fps=9.8, at=AT).to_json(),
    AgentStatus(
        site="lab",
        agent="a",
        state="online",
        version="0.2.0",
        model_id="d29f7071d9ba8357",
        gallery_version=7,
        outbox_depth=0,
        outbox_bytes=0,
        events_dropped=0,
        started_at=AT,
        at=AT,
    ).to_json(),
    AgentDuplicate(
        site="lab", agent="a", host="h", session="s", outbox_depth=1, started_at=AT, at=AT
    ).to_json(),
    DeviceUpdate(
        site="lab",
        agent="a",
        release="1.0",
        target="pi-trixie",
        serial=1,
        wanted="1.1",
        state="current",
        reason=None,
        since=AT,
        at=AT,
    ).to_json(),
    EventsStored(site="lab", agent="a", event_ids=("x", "y")).to_json(),
    SharedStranger(
        site="lab",
        agent="a",
        stranger="anon-3fa2c1-12",
        formerly=("anon-3fa2c2-1",),
        edition=7,
        model_id="d29f7071d9ba8357",
        vector="fwAA",
        camera="gate",
        first_seen=AT,
        last_seen=AT,
        expires_at=AT,
        at=AT,
    ).to_json(),
    StrangerErasures(
        site="lab",
        erasures=(StrangerErasure(id="e-1", strangers=("anon-3fa2c1-12",), issued_at=AT),),
        at=AT,
    ).to_json(),
    Command(id="c-1", command="set-threshold", issued_at=AT, threshold=0.7).to_json(),
    CommandResult(
        id="c-2",
        command="snapshot",
        site="lab",
        agent="a",
        outcome="done",
        picture=Picture(file="/p/1.jpg", size_bytes=9, sha256="0" * 64),
        at=AT,
    ).to_json(),
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [2**63, -(2**63), 2**200, 1e308, "", "\0", "\ud800", AT, "2026-99-99T99:99:99.999Z"]
    ),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=10,
)


@st.composite
def bent_bytes(draw: st.DrawFn, bodies: tuple[bytes, ...]) -> bytes:
    """A valid body with some bytes replaced, inserted, doubled or cut off."""
    body = bytearray(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        length = draw(st.integers(0, 12))
        body[at : at + length] = draw(
            st.binary(max_size=8) | st.just(bytes(body[at : at + 2 * length]))
        )
    return bytes(body)


@st.composite
def bent_fields(draw: st.DrawFn) -> bytes:
    """A valid payload with some fields left out, or of another kind."""
    content: dict[str, Any] = json.loads(draw(st.sampled_from(VALID)))
    for name in draw(st.sets(st.sampled_from(sorted(content)), max_size=3)):
        if draw(st.booleans()):
            content[name] = draw(JSON_VALUES)
        else:
            del content[name]
    return json.dumps(content).encode()


PAYLOAD_BYTES = (
    st.binary(max_size=200) | bent_bytes(tuple(it.encode() for it in VALID)) | bent_fields()
)


def parse_then_use_event(body: bytes) -> Payload:
    event = parse_event(body)
    if isinstance(event, ZonePayload):
        assert zone_event_of(zone_row(event)) == event
        return event
    assert len(row(event)) == len(COLUMNS)
    if isinstance(event, HitPayload):
        message = identity_message(event, ADDRESS)
        assert message.topic.count("/") == ADDRESS.agent_status.count("/") - 1
        assert IdentityState.model_validate_json(str(message.text)).identity == event.identity
    return event


PARSERS: dict[str, Callable[[bytes], Payload]] = {
    "event": parse_then_use_event,
    **{kind.__name__: kind.model_validate_json for kind in PAYLOADS},
}

CASES = pytest.mark.parametrize("cases", [500, pytest.param(10_000, marks=pytest.mark.soak)])


def try_all(check: Callable[[Any], None], values: st.SearchStrategy[Any], cases: int) -> None:
    allowed = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    allowed(given(values)(check))()


@CASES
def test_a_payload_is_understood_or_refused(cases: int) -> None:
    understood = Counter[str]()

    def check(body: bytes) -> None:
        for name, parse in PARSERS.items():
            try:
                payload = parse(body)
            except ValueError:
                continue
            understood[name] += 1
            assert parse(payload.to_json().encode()) == payload  # means the same, told again

    try_all(check, PAYLOAD_BYTES, cases)
    assert understood.keys() == PARSERS.keys(), "no case got through: the fuzzer reaches nothing"


@CASES
def test_a_fleet_learns_from_anything_and_can_still_be_shown(cases: int) -> None:
    levels = st.sampled_from(
        [
            "gate/status",
            "agents/a/status",
            "agents/a/duplicate",
            "agents/a/update",
            "agents/status",
            "x/y/z",
            "",
        ]
    )

    def check(said: list[tuple[str, bytes]]) -> None:
        known = Fleet("edge-reid", "lab")
        for rest, body in said:
            known.learn(Received(f"edge-reid/lab/{rest}", body, retained=True))
        Console(file=io.StringIO(), width=100).print(fleet_table(known.members, "lab"))

    try_all(check, st.lists(st.tuples(levels, PAYLOAD_BYTES | st.just(b"")), max_size=4), cases)


@CASES
def test_any_name_becomes_one_level_of_a_topic(cases: int) -> None:
    def check(name: str) -> None:
        try:
            level = topic_level(name)
        except UnicodeEncodeError:  # a lone surrogate, which no JSON of ours lets in
            return
        assert level
        assert not set(level) & set("/+#\0 ")
        assert len(level) <= 64

    try_all(check, st.text(max_size=300), cases)


@CASES
def test_a_configuration_is_understood_or_its_mistakes_are_listed(
    tmp_path: Path, cases: int
) -> None:
    path = tmp_path / "agent.toml"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(ConfigError):  # which lists them; anything else gets out
            load_settings(path, {})

    try_all(check, st.binary(max_size=200) | bent_bytes((EXAMPLE_CONFIG,)), cases)
