"""Every payload of the wire contract, and its JSON Schema."""

from __future__ import annotations

from typing import Any

from edge_reid.wire.commands import Command, CommandResult
from edge_reid.wire.payloads import (
    AgentDuplicate,
    AgentStatus,
    CameraStatus,
    DeviceUpdate,
    EventsStored,
    HitPayload,
    IdentityState,
    Payload,
    UnknownPayload,
    ZonePayload,
)
from edge_reid.wire.shared_strangers import SharedStranger, StrangerErasures

PAYLOADS: tuple[type[Payload], ...] = (
    HitPayload,
    UnknownPayload,
    ZonePayload,
    IdentityState,
    CameraStatus,
    AgentStatus,
    AgentDuplicate,
    DeviceUpdate,
    EventsStored,
    Command,
    CommandResult,
    SharedStranger,
    StrangerErasures,
)


def schema_name(payload: type[Payload]) -> str:
    """`edge-reid.hit/1` for `HitPayload`."""
    return str(payload.model_fields["schema_"].default)


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (2020-12) of every payload, by its name: `edge-reid.hit/1`, …

    They describe what is sent: every field is there, but those that came after the first release of
    the schema (`x-since`), which an older agent does not send.
    """
    return {schema_name(payload): schema_of(payload) for payload in PAYLOADS}


def schema_of(payload: type[Payload]) -> dict[str, Any]:
    """The JSON Schema of a payload."""
    name = schema_name(payload)
    schema = payload.model_json_schema(by_alias=True, mode="serialization")
    schema["required"] = [
        field for field, rule in schema["properties"].items() if "x-since" not in rule
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{name.replace('/', ':')}",
        **schema,
    }
