"""Nobody who may write on a topic decides how much memory, disk or screen it takes."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.decided_tracks import ADDRESS, an_event

from edge_reid.core.foreign_text import LOGGED_MAX, ShownFormatter, shown, shown_json
from edge_reid.gallery.identity import MAX_LENGTH
from edge_reid.wire.commands import CommandResult
from edge_reid.wire.events import CameraReport, camera_status_message
from edge_reid.wire.payloads import LINES_MAX, WORDS_MAX, AgentStatus, parse_event
from edge_reid.wire.schemas import PAYLOADS, schema_name

AT = "2026-03-01T12:00:00.250Z"


def an_event_with(**changes: Any) -> bytes:
    return json.dumps({**json.loads(an_event(1).payload(1).to_json()), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"track_id": 10**29},
        {"seq": 2**53},
        {"crops": 2**64},
        {"identity": "x" * 65},
        {"identity": "x" * 900_000},
        {"event_id": "x" * 65},
        {"decided_at": "9999-99-99T99:99:99.999Z"},
        {"first_seen": "0000-01-01T00:00:00.000Z"},
        {"last_seen": "2026-02-30T00:00:00.000Z"},
        {"box": [0, 0, 1e30, 1]},
        {"frame_size": [2**40, 1]},
    ],
    ids=str,
)
def test_an_event_that_cannot_be_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        parse_event(an_event_with(**changes))


def test_the_longest_name_that_can_be_enrolled_is_one_on_the_wire() -> None:
    event = parse_event(an_event_with(identity="王" * MAX_LENGTH))
    assert event.identity == "王" * MAX_LENGTH


def test_words_are_cut_and_nothing_is_unreadable_for_their_length() -> None:
    """An older agent had no bound: a path, a list of mistakes, what a library said."""
    status = AgentStatus(
        site="lab",
        agent="a",
        state="offline",
        reason="r" * 900_000,
        version="v" * 900_000,
        host="h" * 900_000,
        model_id="m" * 900_000,
        gallery_version=0,
        outbox_depth=0,
        outbox_bytes=0,
        events_dropped=0,
        started_at=AT,
        at=AT,
    )
    assert len(status.to_json()) < 5 * WORDS_MAX
    assert AgentStatus.model_validate_json(status.to_json()) == status
    assert status.reason == "r" * (WORDS_MAX - 1) + "…"
    result = CommandResult(
        id="a",
        command="reload",
        site="lab",
        agent="a",
        outcome="refused",
        mistakes=("m" * 5000,) * 5000,
        at=AT,
    )
    assert len(result.mistakes) == LINES_MAX
    report = CameraReport("failed", reason="r" * 5000)
    message = camera_status_message(ADDRESS, "gate", report, 0.0)
    assert len(message.text) < 2 * WORDS_MAX


@pytest.mark.parametrize("payload", PAYLOADS, ids=schema_name)
def test_every_text_number_and_list_of_every_payload_has_a_bound(payload: Any) -> None:
    schema = payload.model_json_schema(by_alias=True, mode="serialization")

    def unbounded(rule: dict[str, Any], where: str) -> list[str]:
        kind = rule.get("type")
        is_fixed = "const" in rule or "enum" in rule
        text = kind == "string" and not {"maxLength", "pattern"} & rule.keys()
        number = kind in ("integer", "number") and not {"maximum", "exclusiveMaximum"} & rule.keys()
        items = kind == "array" and "maxItems" not in rule
        found = [where] if (text or number or items) and not is_fixed else []
        inner = [*rule.get("anyOf", []), *rule.get("prefixItems", [])]
        inner += [rule["items"]] if "items" in rule else []
        for each in inner:
            found += unbounded(each, where)
        for name, field in rule.get("properties", {}).items():
            found += unbounded(field, f"{where}.{name}")
        for name, other in rule.get("$defs", {}).items():
            found += unbounded(other, name)
        return found

    assert unbounded(schema, payload.__name__) == []


@given(st.text(max_size=50))
def test_what_is_shown_can_be_seen_and_letters_stay(text: str) -> None:
    assert shown(text).isprintable()
    assert shown(text) == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("Ana María 王芳 – č", "Ana María 王芳 – č"),
        ("x" * 1000, "x" * 499 + "…"),
    ],
)
def test_what_could_move_the_screen_becomes_letters(text: str, seen: str) -> None:
    assert shown(text) == seen


@given(st.text(max_size=50))
def test_json_that_is_shown_means_the_same(text: str) -> None:
    line = shown_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert json.loads(line) == {text: [text]}
    assert not any(ord(it) < 0x20 or 0x7F <= ord(it) < 0xA0 for it in line)


def test_a_line_of_the_log_is_one_line() -> None:
    formatter = ShownFormatter()

    def logged(message: str, *arguments: object, exc_info: Any = None) -> str:
        record = logging.LogRecord("x", logging.WARNING, "", 0, message, arguments, exc_info)
        return formatter.format(record)

    assert logged("of %s", "a\nWARNING: forged\x1b[2J") == r"of a\nWARNING: forged\x1b[2J"
    assert len(logged("x" * 100_000)) == LOGGED_MAX
    try:
        {}["a\x1b[2Jb" + "c"]
    except KeyError:
        lines = logged("stumbled", exc_info=sys.exc_info()).splitlines()
    assert lines[0] == "stumbled"
    assert all(line.isprintable() for line in lines)
