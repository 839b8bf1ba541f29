"""The wire contract as an AsyncAPI document, which `make reference` writes to asyncapi.json.

It is written from the agent's side: an agent sends what `topics.TOPICS` lets it write, and receives
what it may read.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

from edge_reid.wire import topics
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
from edge_reid.wire.schemas import schema_of
from edge_reid.wire.topics import TOPICS, Topic

Json: TypeAlias = dict[str, Any]

PAYLOAD_OF: dict[Topic, type[Payload]] = {
    topics.HIT: HitPayload,
    topics.UNKNOWN: UnknownPayload,
    topics.ZONE: ZonePayload,
    topics.CAMERA_STATUS: CameraStatus,
    topics.AGENT_STATUS: AgentStatus,
    topics.AGENT_DUPLICATE: AgentDuplicate,
    topics.AGENT_COMMAND: Command,
    topics.AGENT_RESULT: CommandResult,
    topics.AGENT_STORED: EventsStored,
    topics.AGENT_UPDATE: DeviceUpdate,
    topics.IDENTITY: IdentityState,
}
"""What is JSON, and has a schema."""

_SIGNED_HEAD: Json = {
    "contentType": "text/plain",
    "summary": "A signed head: 128 hex digits of an Ed25519 signature, a line end, and JSON.",
    "payload": {"type": "string", "pattern": r"^[0-9a-f]{128}\n"},
}
_CERTIFIED: Json = {
    "contentType": "text/plain",
    "payload": {"type": "string", "pattern": r"^[A-Za-z0-9+/=]+\n[A-Za-z0-9+/=]+\n\{"},
}
OTHERS: dict[Topic, Json] = {
    topics.PICTURE: {
        "contentType": "image/jpeg",
        "summary": "The best crop of the last hit of a camera; only where pictures may leave.",
        "payload": {"type": "string", "format": "binary"},
    },
    topics.STRANGER: {
        **_CERTIFIED,
        "summary": "An unknown person, for the other devices of a site: the agent's certificate, "
        "its signature and edge-reid.stranger/1, a line each.",
    },
    topics.STRANGER_ERASURES: {
        **_CERTIFIED,
        "summary": "Whom all devices of a site are to forget: a commander's certificate, its "
        "signature and edge-reid.erasures/1, a line each.",
    },
    topics.GALLERY_HEAD: _SIGNED_HEAD,
    topics.RELEASE_HEAD: _SIGNED_HEAD,
    topics.GALLERY_BLOB: {
        "contentType": "application/octet-stream",
        "summary": "A chunk of a gallery's snapshot; the head names its hash.",
        "payload": {"type": "string", "format": "binary"},
    },
}
"""What is signed, or bytes."""

PARAMETERS: dict[str, str] = {
    "root": "First level of all topics.",
    "site": "A site; `a-z 0-9 _ -`, as the next two.",
    "agent": "An agent of the site.",
    "camera": "A camera of the site.",
    "stranger": "An anonymous name.",
    "identity": "A person's name in the letters of a topic.",
    "sha256": "Of the snapshot, in hex.",
    "n": "Number of the chunk.",
}

_INFO: Json = {
    "title": "edge-reid, wire contract 1",
    "version": "1.0.0",
    "description": "What an agent says and hears over MQTT. Fields only grow: one that came later "
    "says `x-since` and may be missing. Consumers ignore fields and types that they do not know.",
    "license": {"name": "Apache-2.0"},
}
_SERVERS: Json = {
    "broker": {
        "host": "{host}:8883",
        "protocol": "secure-mqtt",
        "protocolVersion": "5",
        "description": "Any MQTT broker; sinks need MQTT 5, everything else does with 3.1.1.",
        "variables": {"host": {"default": "broker.lab.example"}},
    }
}


def asyncapi_document() -> Json:
    """The contract as AsyncAPI 3.0, ready for JSON."""
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": {channel_name(topic): _channel(topic) for topic in TOPICS},
        "operations": dict(_operation(topic) for topic in TOPICS),
        "components": {
            "messages": {channel_name(topic): _message(topic) for topic in TOPICS},
            "schemas": dict(_schemas()),
        },
    }


def channel_name(topic: Topic) -> str:
    """`agents.status` for `agents/{agent}/status`: a topic without what is filled in."""
    return ".".join(re.findall(r"(?:^|(?<=/))\w+", topic.pattern))


def _channel(topic: Topic) -> Json:
    address = f"{{root}}/{{site}}/{topic.pattern}"
    name = channel_name(topic)
    return {
        "address": address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {level: _parameter(level) for level in re.findall(r"{(\w+)}", address)},
    }


def _parameter(level: str) -> Json:
    default = {"default": "edge-reid"} if level == "root" else {}
    return {"description": PARAMETERS[level], **default}


def _operation(topic: Topic) -> tuple[str, Json]:
    name = channel_name(topic)
    is_sent = any(party.role == topics.AGENT.role for party in topic.writers)
    binding = {"qos": topic.qos, "retain": topic.is_retained, "bindingVersion": "0.2.0"}
    if topic.expiry_s is not None:
        binding["messageExpiryInterval"] = topic.expiry_s
    operation = {
        "action": "send" if is_sent else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "bindings": {"mqtt": binding},
    }
    return f"{operation['action']}.{name}", operation


def _message(topic: Topic) -> Json:
    if topic in OTHERS:
        return {"name": channel_name(topic), **OTHERS[topic]}
    payload = PAYLOAD_OF[topic]
    summary = (payload.__doc__ or "").partition("\n")[0]
    return {
        "name": channel_name(topic),
        "contentType": "application/json",
        "summary": summary,
        "payload": {"$ref": f"#/components/schemas/{payload.__name__}"},
    }


def _schemas() -> Iterator[tuple[str, Json]]:
    """JSON Schemas as AsyncAPI has them: what a schema defines for itself stands beside it."""
    for payload in PAYLOAD_OF.values():
        schema = schema_of(payload)
        inner = schema.pop("$defs", {})
        for key in ("$schema", "$id"):
            del schema[key]
        yield from ((name, _as_draft_7(definition)) for name, definition in inner.items())
        yield payload.__name__, _as_draft_7(schema)


def _as_draft_7(schema: Any) -> Any:
    """The same in draft 7 of JSON Schema, of which AsyncAPI's own form is a superset."""
    if isinstance(schema, list):
        return [_as_draft_7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {"items" if key == "prefixItems" else key: schema[key] for key in schema}
    if isinstance(renamed.get("$ref"), str):
        renamed["$ref"] = renamed["$ref"].replace("#/$defs/", "#/components/schemas/")
    return {key: _as_draft_7(value) for key, value in renamed.items()}


if __name__ == "__main__":
    json.dump(asyncapi_document(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
