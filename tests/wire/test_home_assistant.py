"""What Home Assistant is told, against what it documents of its MQTT discovery.

The rules are those of its integration page "MQTT" (device discovery payload, discovery topic) and
of its pages on each platform: which keys there are, which are required, what they may say.
"""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import jsonschema
import pytest
from support.decided_tracks import ADDRESS
from support.secured_broker import load_certs

from edge_reid.mqtt.message import Message
from edge_reid.wire.home_assistant import HomeAssistant
from edge_reid.wire.payloads import ZonePayload
from edge_reid.wire.topics import ROLES, Address, topic_level

OURS = HomeAssistant(
    "homeassistant",
    ADDRESS,
    ("gate", "yard"),
    device_trackers=True,
    pictures=True,
    zoned=("yard",),
)
TOPIC = r"homeassistant/\w+/([a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config"
"""The discovery topic: prefix, component, node and object."""

_TEXT = {"type": "string", "minLength": 1}
_OF_ALL = {
    "platform": _TEXT,
    "name": _TEXT,
    "icon": {"type": "string", "pattern": "^mdi:[a-z-]+$"},
    "entity_category": {"enum": ["config", "diagnostic"]},
    "state_topic": _TEXT,
    "value_template": {"type": "string", "pattern": r"^\{\{ .+ \}\}$"},
    "json_attributes_topic": _TEXT,
    "unique_id": _TEXT,
}


def _platform(required: list[str], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**_OF_ALL, **more},
        "required": ["platform", "unique_id", *required],
        "additionalProperties": False,
    }


PLATFORMS = {
    "binary_sensor": _platform(
        ["state_topic"], device_class={"enum": ["running", "occupancy", "presence"]}
    ),
    "sensor": _platform(
        ["state_topic"],
        device_class={"enum": ["timestamp", "enum"]},
        state_class={"enum": ["measurement", "total"]},
    ),
    "event": _platform(
        ["state_topic", "event_types"],
        event_types={"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
    ),
    "image": _platform(
        ["image_topic"],
        image_topic=_TEXT,
        content_type={"enum": ["image/jpeg", "image/png"]},
    ),
    "device_tracker": _platform(
        ["state_topic"], source_type={"enum": ["gps", "router", "bluetooth", "bluetooth_le"]}
    ),
}
DEVICE = {
    "type": "object",
    "properties": {
        "device": {
            "type": "object",
            "properties": {
                "identifiers": {"type": "array", "items": _TEXT, "minItems": 1},
                **dict.fromkeys(("name", "model", "manufacturer", "sw_version"), _TEXT),
            },
            "required": ["identifiers"],
            "additionalProperties": False,
        },
        "origin": {
            "type": "object",
            "properties": {"name": _TEXT, "sw_version": _TEXT, "support_url": _TEXT},
            "required": ["name"],
            "additionalProperties": False,
        },
        "components": {"type": "object", "minProperties": 1},
        "qos": {"enum": [0, 1, 2]},
        "availability": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "topic": _TEXT,
                    "value_template": _TEXT,
                    "payload_available": _TEXT,
                    "payload_not_available": _TEXT,
                },
                "required": ["topic"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
}


def content(message: Message) -> dict[str, Any]:
    assert message.retain
    assert re.fullmatch(TOPIC, message.topic)
    found: dict[str, Any] = json.loads(message.text)
    return found


@pytest.mark.parametrize("message", [OURS.agent(), OURS.person("Ana María")])
def test_a_configuration_is_what_home_assistant_documents(message: Message) -> None:
    found = content(message)
    jsonschema.validate(found, DEVICE)
    for component in found["components"].values():
        jsonschema.validate(component, PLATFORMS[component["platform"]])


def test_an_agent_has_entities_for_each_camera_and_is_there_while_it_is_online() -> None:
    found = content(OURS.agent())
    kinds = {"running", "persons", "last_hit", "picture"}
    assert found["components"].keys() == {
        *(f"{name}_{kind}" for name in OURS.cameras for kind in kinds),
        "yard_last_zone_event",
    }, "a camera without zones says nothing of any"
    components = found["components"]
    assert components["yard_picture"]["image_topic"] == "edge-reid/lab/yard/picture"
    topics = {name: one.get("state_topic") for name, one in components.items()}
    assert topics["yard_running"] == topics["yard_persons"] == "edge-reid/lab/yard/status"
    assert topics["gate_last_hit"] == "edge-reid/lab/gate/hit"
    assert topics["yard_last_zone_event"] == "edge-reid/lab/yard/zone"
    kinds_of_events = get_args(ZonePayload.model_fields["type"].annotation)
    assert found["components"]["yard_last_zone_event"]["event_types"] == [*kinds_of_events]
    assert [it["topic"] for it in found["availability"]] == ["edge-reid/lab/agents/gate-1/status"]


def test_a_person_is_where_their_state_says() -> None:
    found = content(OURS.person("Ana María"))
    level = topic_level("Ana María")
    assert found["device"]["name"] == "Ana María"
    for component in found["components"].values():
        assert component["state_topic"] == f"edge-reid/lab/identities/{level}"
    assert "device_tracker" in {it["platform"] for it in found["components"].values()}
    without = HomeAssistant("homeassistant", ADDRESS, ("gate",))
    plain = content(without.person("Ana María"))
    assert "tracker" not in plain["components"]
    gone = OURS.forgotten("Ana María")
    assert (gone.topic, gone.text, gone.retain) == (OURS.person("Ana María").topic, "", True)


def test_every_agent_of_a_site_says_the_same_of_a_person() -> None:
    door = Address("edge-reid", "lab", "door-1")
    other = HomeAssistant("homeassistant", door, ("door",), device_trackers=True)
    assert other.person("ana") == OURS.person("ana")


def test_no_picture_is_announced_unless_it_is_wanted() -> None:
    plain = content(HomeAssistant("homeassistant", ADDRESS, ("gate",)).agent())
    assert "image" not in {one["platform"] for one in plain["components"].values()}


def test_no_id_is_given_twice() -> None:
    elsewhere = Address("edge-reid", "farm", "gate-1")
    farm = HomeAssistant("homeassistant", elsewhere, ("gate",))
    configs = [
        *(one.agent() for one in (OURS, farm)),
        *(one.person(name) for one in (OURS, farm) for name in ("ana", "gate-1", "gate")),
    ]
    ids = [
        component["unique_id"]
        for message in configs
        for component in content(message)["components"].values()
    ]
    assert len(ids) == len(set(ids))
    assert len({message.topic for message in configs}) == len(configs)


RULES = {
    "agent": """
        write homeassistant/device/edge-reid-lab/gate-1/config
        write homeassistant/device/edge-reid-lab-PEOPLE/+/config
        read homeassistant/status
    """,
    "reader": """
        read homeassistant/device/edge-reid-lab/+/config
        read homeassistant/device/edge-reid-lab-PEOPLE/+/config
        write homeassistant/status
    """,
    "bridge": """
        write homeassistant/device/edge-reid-lab/+/config
        write homeassistant/device/edge-reid-lab-PEOPLE/+/config
        read homeassistant/status
    """,
}


@pytest.mark.parametrize("role", ROLES)
def test_who_may_use_home_assistants_topics(role: str) -> None:
    lines = list(load_certs().Holder(role, "gate-1", "lab", ("gate",)).rules("edge-reid"))
    found = {line for line in lines if "homeassistant" in line}
    rules = RULES.get(role, "").strip().splitlines()
    assert found == {f"topic {rule.strip()}" for rule in rules}
