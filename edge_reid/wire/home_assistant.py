"""Home Assistant's MQTT discovery: what makes devices and entities of our topics. Pure.

An agent is a device, with entities for each of its cameras; so is each person, with where they were
seen last. The entities read the topics of the wire contract: nothing is published for them alone
but these configurations. Any agent of a site may announce a person, all in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from edge_reid import __version__
from edge_reid.mqtt.message import Message
from edge_reid.wire.topics import HA_AGENT, HA_PERSON, HA_STATUS, Address, topic_level

Json: TypeAlias = dict[str, Any]

ONLINE = b"online"
"""What Home Assistant says on its status when it starts, and wants everything announced."""


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """Writes what an agent announces.

    Args:
        prefix: first level of Home Assistant's discovery.
        address: of the agent.
        cameras: that it watches.
        device_trackers: whether a person is a device tracker, too.
        pictures: whether each camera has a picture of its last hit.
        zoned: those of the cameras that have zones or lines.
    """

    prefix: str
    address: Address
    cameras: Sequence[str]
    device_trackers: bool = False
    pictures: bool = False
    zoned: Collection[str] = ()

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says that it has started."""
        return HA_STATUS.name(self.prefix)

    def agent(self) -> Message:
        """The device of this agent, and all entities of its cameras."""
        address = self.address
        topic = HA_AGENT.name(self.prefix, site=address.site, agent=address.agent)
        identifier = f"edge-reid-{address.site}-AGENT-{address.agent}"
        device = _device(identifier, address.agent, f"Agent of {address.site}")
        components = {
            f"{camera}_{kind}": {**config, "unique_id": f"{identifier}-{camera}-{kind}"}
            for camera in self.cameras
            for kind, config in self._of_camera(camera).items()
        }
        availability = {
            "topic": address.agent_status,
            "value_template": "{{ value_json.state }}",
            "payload_available": "online",
            "payload_not_available": "offline",
        }
        return _config(topic, device, components, availability=[availability])

    def person(self, identity: str) -> Message:
        """The device of a person, and where they are."""
        identifier = f"edge-reid-{self.address.site}-PERSON-{topic_level(identity)}"
        device = _device(identifier, identity, f"Person of {self.address.site}")
        components = {
            kind: {**config, "unique_id": f"{identifier}-{kind}"}
            for kind, config in self._of_person(identity).items()
        }
        return _config(self._person_topic(identity), device, components)

    def forgotten(self, identity: str) -> Message:
        """Takes the device of a person away, and all that belongs to it."""
        return Message(self._person_topic(identity), "", retain=True)

    def _person_topic(self, identity: str) -> str:
        level = topic_level(identity)
        return HA_PERSON.name(self.prefix, site=self.address.site, identity=level)

    def _of_camera(self, camera: str) -> dict[str, Json]:
        status = self.address.camera_status(camera)
        picture: dict[str, Json] = {
            "picture": {
                "platform": "image",
                "name": f"{camera} picture of the last hit",
                "icon": "mdi:image-account",
                "image_topic": self.address.picture(camera),
                "content_type": "image/jpeg",
            }
        }
        zones = {"last_zone_event": self._of_zones(camera)} if camera in self.zoned else {}
        return {
            **zones,
            "running": {
                "platform": "binary_sensor",
                "name": f"{camera} running",
                "device_class": "running",
                "entity_category": "diagnostic",
                "state_topic": status,
                "value_template": "{{ 'ON' if value_json.state == 'running' else 'OFF' }}",
            },
            "persons": {
                "platform": "sensor",
                "name": f"{camera} persons in view",
                "icon": "mdi:account-group",
                "state_class": "measurement",
                "state_topic": status,
                "value_template": "{{ value_json.persons_in_view | default(none, true) }}",
            },
            "last_hit": {
                "platform": "event",
                "name": f"{camera} last hit",
                "icon": "mdi:account-eye",
                "event_types": ["new", "update", "end", "correction"],
                "state_topic": self.address.hits(camera),
                "value_template": "{{ dict(value_json, event_type=value_json.type) | tojson }}",
            },
            **(picture if self.pictures else {}),
        }

    def _of_zones(self, camera: str) -> Json:
        return {
            "platform": "event",
            "name": f"{camera} last zone event",
            "icon": "mdi:map-marker-path",
            "event_types": ["entered", "left", "loitering", "crossed"],
            "state_topic": self.address.zones(camera),
            "value_template": "{{ dict(value_json, event_type=value_json.type) | tojson }}",
        }

    def _of_person(self, identity: str) -> dict[str, Json]:
        state = {"state_topic": self.address.identity(identity)}
        of_person: dict[str, Json] = {
            "where": {
                **state,
                "platform": "sensor",
                "name": "Last seen at",
                "icon": "mdi:map-marker",
                "value_template": "{{ value_json.camera }}",
                "json_attributes_topic": state["state_topic"],
            },
            "when": {
                **state,
                "platform": "sensor",
                "name": "Last seen",
                "device_class": "timestamp",
                "value_template": "{{ value_json.last_seen }}",
            },
            "in_view": {
                **state,
                "platform": "binary_sensor",
                "name": "In view",
                "device_class": "occupancy",
                "value_template": "{{ 'ON' if value_json.in_view else 'OFF' }}",
            },
        }
        if self.device_trackers:
            # a template may only choose between these two: for any other place it takes all it got
            is_here = "{{ 'home' if value_json.in_view else 'not_home' }}"
            of_person["tracker"] = {
                **state,
                "platform": "device_tracker",
                "name": "Tracker",
                "source_type": "router",
                "value_template": is_here,
            }
        return of_person


def _device(identifier: str, name: str, model: str) -> Json:
    return {
        "identifiers": [identifier],
        "name": name,
        "model": model,
        "manufacturer": "edge-reid",
        "sw_version": __version__,
    }


def _config(topic: str, device: Json, components: dict[str, Json], **more: Any) -> Message:
    origin = {"name": "edge-reid", "sw_version": __version__}
    content = {"device": device, "origin": origin, "components": components, "qos": 1, **more}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Message(topic, text, retain=True)
