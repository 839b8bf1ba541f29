"""What counts as a command, and what is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.decided_tracks import ADDRESS

from edge_reid.consumers.command_client import new_command
from edge_reid.core.config.command_settings import CommandSettings
from edge_reid.delivery.command_inbox import REMEMBERED, WAITING_MAX, CommandInbox
from edge_reid.delivery.command_memory import CommandMemory
from edge_reid.mqtt.connection import Received
from edge_reid.wire.commands import MAX_COMMAND_BYTES, Command, parse_command
from edge_reid.wire.events import rfc3339
from edge_reid.wire.schemas import json_schemas

NOW_S = 1_772_366_400.0
ALLOWED = CommandSettings(allow=("reload", "sync-now", "set-threshold"), max_age_s=60)


def body(**changes: Any) -> bytes:
    """A command as an integrator writes it; a change to None takes the field away."""
    fields = {
        "schema": "edge-reid.command/1",
        "id": "order-1",
        "command": "reload",
        "issued_at": rfc3339(NOW_S),
    }
    return json.dumps({k: v for k, v in (fields | changes).items() if v is not None}).encode()


def heard(message: bytes, *, retained: bool = False) -> Received:
    return Received(ADDRESS.agent_command, message, retained)


@pytest.fixture
def desk() -> CommandInbox:
    return CommandInbox(ADDRESS, ALLOWED, clock=lambda: NOW_S)


def told(desk: CommandInbox) -> list[dict[str, Any]]:
    """The results that go out now."""
    messages = desk.take_outgoing()
    assert all((it.topic, it.retain) == (ADDRESS.agent_result, False) for it in messages)
    return [json.loads(it.text) for it in messages]


def test_a_command_is_taken_carried_out_and_answered(desk: CommandInbox) -> None:
    desk.hear(heard(body()))
    command = desk.next(0)
    assert command is not None
    assert command.command == "reload"
    desk.done(command, threshold=0.71239, gallery_version=7, restart_for=("mqtt",))
    (result,) = told(desk)
    assert (result["id"], result["outcome"], result["reason"]) == ("order-1", "done", None)
    assert (result["threshold"], result["gallery_version"]) == (0.7124, 7)
    assert result["restart_for"] == ["mqtt"]
    jsonschema.validate(result, json_schemas()["edge-reid.result/1"])
    assert (desk.state.done, desk.state.refused, desk.state.ignored) == (1, 0, 0)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"reload",
        b"{}",
        b"[" * 2000,
        body(schema="edge-reid.command/2"),
        body(id=None),
        body(id=""),
        body(id="a/b"),
        body(id=7),
        body(command="reboot"),
        body(command=None),
        body(issued_at=None),
        body(issued_at="yesterday"),
        body(issued_at="2026-13-41T25:61:61.000Z"),
        body(also="this"),
        body(threshold=0.5),
        body(command="set-threshold"),
        body(command="set-threshold", threshold="0.5"),
        body(command="set-threshold", threshold=2),
        body(command="set-threshold", threshold=float("nan")),
        body(id="x" * MAX_COMMAND_BYTES),
        b" " * MAX_COMMAND_BYTES + body(),
    ],
)
def test_what_is_no_command_is_ignored_and_counted(desk: CommandInbox, message: bytes) -> None:
    desk.hear(heard(message))
    assert desk.next(0) is None
    assert told(desk) == []
    assert desk.state.ignored == 1


def test_what_lay_retained_is_ignored_and_counted(desk: CommandInbox) -> None:
    desk.hear(heard(body(), retained=True))
    assert desk.next(0) is None
    assert (desk.state.ignored, desk.state.refused) == (1, 0)


def test_what_comes_twice_is_done_once_and_answered_again(desk: CommandInbox) -> None:
    for _ in range(2):  # the second while the first is not done yet
        desk.hear(heard(body()))
    command = desk.next(0)
    assert command is not None
    assert desk.next(0) is None
    desk.done(command)
    (first,) = told(desk)
    desk.hear(heard(body()))
    assert desk.next(0) is None
    assert told(desk) == [first]
    assert (desk.state.done, desk.state.ignored) == (1, 0)


@pytest.mark.parametrize(
    ("age_s", "words"),
    [(60.5, "got one of 60 s ago"), (86_400, "86400 s ago"), (-61, "61 s in the future")],
)
def test_what_is_stale_is_refused(desk: CommandInbox, age_s: float, words: str) -> None:
    desk.hear(heard(body(issued_at=rfc3339(NOW_S - age_s))))
    (result,) = told(desk)
    assert result["outcome"] == "refused"
    assert words in result["reason"]
    assert desk.next(0) is None
    assert desk.state.refused == 1


def test_what_is_not_enabled_is_refused(desk: CommandInbox) -> None:
    desk.hear(heard(body(command="snapshot")))
    (result,) = told(desk)
    assert result["outcome"] == "refused"
    assert result["reason"] == (
        "snapshot is not enabled here; name it in commands.allow on the device"
    )


def test_commands_do_not_pile_up(desk: CommandInbox) -> None:
    for number in range(WAITING_MAX + 1):
        desk.hear(heard(body(id=f"order-{number}")))
    (result,) = told(desk)
    assert result["id"] == f"order-{WAITING_MAX}"
    assert "commands wait already" in result["reason"]


def test_nor_does_what_is_remembered(desk: CommandInbox) -> None:
    for number in range(3 * REMEMBERED):
        desk.hear(heard(body(id=f"order-{number}", command="snapshot")))
    assert len(told(desk)) == REMEMBERED
    assert len(desk._answers) == REMEMBERED


def test_our_own_commands_are_what_the_schema_says() -> None:
    schema = json_schemas()["edge-reid.command/1"]
    for command in (new_command("reload"), new_command("set-threshold", 0.8)):
        assert parse_command(command.to_json().encode()) == command
        jsonschema.validate(json.loads(command.to_json()), schema)
    fields = json.loads(new_command("reload").to_json())
    for wrong in ({"threshold": 0.5}, {"command": "set-threshold"}, {"also": 1}, {"id": "a b"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(fields | wrong, schema)
    with pytest.raises(ValueError, match="goes with set-threshold"):
        Command(id="a", command="reload", issued_at=rfc3339(0), threshold=0.5)


def test_what_was_taken_before_a_restart_is_not_done_again(tmp_path: Path) -> None:
    """Not within its age, and not afterwards either."""
    now_s = NOW_S

    def started() -> CommandInbox:
        memory = CommandMemory(tmp_path / "commands.json", ALLOWED.max_age_s)
        return CommandInbox(ADDRESS, ALLOWED, clock=lambda: now_s, memory=memory)

    desk = started()
    desk.hear(heard(body()))
    assert desk.next(0) is not None
    ahead = body(id="order-2", issued_at=rfc3339(NOW_S + 50))  # its sender's clock goes before
    desk.hear(heard(ahead))
    assert desk.next(0) is not None
    for _ in range(2):
        now_s += 25
        desk = started()
        for again in (body(), ahead):
            desk.hear(heard(again))
            assert desk.next(0) is None
            (result,) = told(desk)
            assert "was taken before this agent started anew" in result["reason"]
    now_s += 50
    desk = started()
    desk.hear(heard(ahead))
    assert "taken before" in told(desk)[0]["reason"]
    desk.hear(heard(body()))
    assert "expected a command issued within 60 s" in told(desk)[0]["reason"]
    desk.hear(heard(body(id="order-3", issued_at=rfc3339(now_s))))
    assert desk.next(0) is not None, "another one is taken"
    desk.hear(heard(body(id="order-4", issued_at=rfc3339(now_s))))
    left = json.loads((tmp_path / "commands.json").read_text())
    assert left.keys() == {"order-2", "order-3", "order-4"}, "too old ones need not be known"


def test_what_cannot_be_remembered_is_not_done(tmp_path: Path) -> None:
    memory = CommandMemory(tmp_path / "no folder" / "commands.json", 60)
    desk = CommandInbox(ADDRESS, ALLOWED, clock=lambda: NOW_S, memory=memory)
    desk.hear(heard(body()))
    assert desk.next(0) is None
    assert "a restart would do the command again; make room there" in told(desk)[0]["reason"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": "b"}', '{"a": null}', "\x00" * 9])
def test_a_memory_that_is_damaged_is_one_of_nothing(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "commands.json"
    path.write_text(content)
    memory = CommandMemory(path, 60)
    assert [record.getMessage().startswith(f"{path}: ") for record in caplog.records] == [True]
    memory.note("a", NOW_S, NOW_S)
    assert "a" in CommandMemory(path, 60)
