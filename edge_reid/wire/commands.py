"""Commands to an agent, and what it answers; part of the wire contract, version 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from edge_reid.core.config import CommandName, Name
from edge_reid.wire.payloads import Count, Lines, Ordinal, Payload, Similarity, Time, Words

MAX_COMMAND_BYTES = 4 << 10


CommandId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_THRESHOLD_GOES_WITH_ITS_COMMAND: JsonDict = {
    "if": {"properties": {"command": {"const": "set-threshold"}}},
    "then": {"properties": {"threshold": {"type": "number"}}},
    "else": {"properties": {"threshold": {"type": "null"}}},
}


class Command(Payload):
    """Something that an agent is asked to do. Unlike other payloads it may hold nothing else."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra=_THRESHOLD_GOES_WITH_ITS_COMMAND
    )

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

    @model_validator(mode="after")
    def _has_a_threshold_when_it_sets_one(self) -> Command:
        if (self.command == "set-threshold") != (self.threshold is not None):
            raise ValueError("threshold: goes with set-threshold, and with nothing else")
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
