"""Commands to an agent, and what it answers; part of the wire contract, version 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from edge_reid.core.config.command_settings import CommandName
from edge_reid.core.config.section import Name
from edge_reid.wire.payloads import Count, EventId, Lines, Ordinal, Payload, Similarity, Time, Words

MAX_COMMAND_BYTES = 4 << 10


CommandId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_OWN_FIELDS: JsonDict = {
    "allOf": [
        {
            "if": {"properties": {"command": {"const": "set-threshold"}}},
            "then": {"properties": {"threshold": {"type": "number"}}},
            "else": {"properties": {"threshold": {"type": "null"}}},
        },
        {
            "if": {"properties": {"command": {"const": "not-this-person"}}},
            "then": {"properties": {"event_id": {"type": "string"}}, "required": ["event_id"]},
            "else": {"properties": {"event_id": {"type": "null"}}},
        },
    ]
}
"""Which goes with which command."""
_SINCE_0_5: JsonDict = {"x-since": "0.5.0"}
_SINCE_0_6: JsonDict = {"x-since": "0.6.0"}


class Command(Payload):
    """Something that an agent is asked to do. Unlike other payloads it may hold nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_OWN_FIELDS)

    schema_: Annotated[Literal["edge-reid.command/1"], Field(alias="schema")] = (
        "edge-reid.command/1"
    )
    id: CommandId
    """Drawn by the sender, another one for every command: the result repeats it, and what comes
    twice under one id is done once."""
    command: CommandName
    issued_at: Time
    threshold: Similarity | None = None
    """The one to set; null for every other command."""
    camera: Name | None = Field(None, json_schema_extra=_SINCE_0_5)
    """The camera that it is for; missing or null: for the agent. An agent without that camera
    refuses it."""
    event_id: EventId | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Of `not-this-person`: any event that told the wrong name; missing or null for every other
    command."""

    def to_json(self) -> str:
        """As of any payload, without a camera or event where none is named: an older agent knows no
        such field, and a command may hold nothing that it does not know.
        """
        unknown = {name for name in ("camera", "event_id") if getattr(self, name) is None}
        return self.model_dump_json(by_alias=True, exclude=unknown)

    @model_validator(mode="after")
    def _has_a_threshold_when_it_sets_one(self) -> Command:
        if (self.command == "set-threshold") != (self.threshold is not None):
            raise ValueError("threshold: goes with set-threshold, and with nothing else")
        return self

    @model_validator(mode="after")
    def _has_an_event_when_it_takes_one_back(self) -> Command:
        if (self.command == "not-this-person") != (self.event_id is not None):
            raise ValueError("event_id: goes with not-this-person, and with nothing else")
        return self


class Picture(Payload):
    """An image that lies on the device."""

    file: Words
    """Its path there."""
    size_bytes: Ordinal
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class CommandResult(Payload):
    """What became of a command."""

    schema_: Annotated[Literal["edge-reid.result/1"], Field(alias="schema")] = "edge-reid.result/1"
    id: CommandId
    """Of the command."""
    command: CommandName
    site: Name
    agent: Name
    outcome: Literal["done", "refused"]
    reason: Words | None = None
    """Why it was refused, in words; null when it was done."""
    mistakes: Lines = ()
    """Of `reload`: every mistake in the configuration that was not taken."""
    restart_for: Lines = ()
    """Of `reload`: sections of the configuration that have changed and wait for a restart."""
    threshold: Similarity | None = None
    """Of `reload` and `set-threshold`: in force now."""
    gallery_version: Count | None = None
    """Of `reload` and `sync-now`: the newest that the agent has."""
    picture: Picture | None = None
    """Of `snapshot`."""
    note: Words | None = Field(None, json_schema_extra=_SINCE_0_6)
    """Of `not-this-person`: what was done, in words."""
    at: Time
    """When this was written."""


def parse_command(body: bytes) -> Command:
    """A command from the bytes of a message.

    Raises:
        ValueError: it is none.
    """
    if len(body) > MAX_COMMAND_BYTES:
        raise ValueError(f"expected at most {MAX_COMMAND_BYTES} bytes, got {len(body)}")
    return Command.model_validate_json(body)
