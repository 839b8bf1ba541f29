"""How events leave the device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from edge_reid.core.config.section import Seconds, Section
from edge_reid.core.server_url import MQTT_PORTS, ServerUrl


def _broker_url(url: str) -> str:
    ServerUrl.parse(url, MQTT_PORTS)
    return url


BrokerUrl = Annotated[str, AfterValidator(_broker_url)]


class MqttSettings(Section):
    """The MQTT broker."""

    url: BrokerUrl | None = None
    """`mqtt://host:port` or `mqtts://host:port`; of a cluster several, `mqtts://a:8883,b:8883`, the
    first that answers is taken. Default: nothing is published over MQTT."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """Version of MQTT: `5`, `3.1.1`, or `auto`: 5, and 3.1.1 to a broker that does not speak it
    (NATS). With 3.1.1 states do not expire at the broker; their age tells."""
    root: Annotated[str, Field(pattern=r"^[a-z0-9_-]+(/[a-z0-9_-]+)*$")] = "edge-reid"
    """First level or levels of every topic."""
    username: str | None = None
    """Login at the broker."""
    password_file: Path | None = None
    """File whose first line is the password of `username`."""
    ca_file: Path | None = None
    """Certificate authority of an `mqtts://` broker. Default: the system's."""
    cert_file: Path | None = None
    """This agent's certificate, for an `mqtts://` broker that asks for one."""
    key_file: Path | None = None
    """The private key of `cert_file`."""
    allow_plaintext: bool = False
    """Allow `mqtt://` to other hosts than this one: only on a network that nobody else can read."""
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    """Longest silence on the connection; after 1.5 times as much the broker publishes the last
    will."""
    flush_timeout_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """Longest wait for the outbox to empty at the end of a run. What is left stays in the
    outbox."""
    tls_insecure: Literal[False] = False
    """Only `false`: verification of certificates cannot be turned off."""


class OutboxSettings(Section):
    """The SQLite file in which events wait for the broker."""

    path: Path | None = None
    """Its file. Default: `outbox-<agent>.db` beside the gallery."""
    max_bytes: Annotated[int, Field(ge=1 << 16)] = 64 << 20
    """Most that all its files may take on the disk; beyond it the oldest events are dropped, and
    counted."""
    max_age_s: Seconds = 7 * 86_400.0
    """Older events are dropped, and counted. The age counts while the agent runs, not by the wall
    clock."""
    drain_per_s: Annotated[float, Field(ge=0.1, le=100_000)] = 200.0
    """Rate at which events that have waited are sent, so that a fleet that reconnects does not
    flood the broker."""
    delivered: Literal["broker", "sink"] = "broker"
    """Who must confirm an event before it is deleted: the `broker`, which may lose it when it is
    killed, or a `sink` (`edge-reid sink`), which has written it to disk."""


class HomeAssistantSettings(Section):
    """Announce this agent, its cameras and the people whom it sees to Home Assistant, by MQTT
    discovery.
    """

    enabled: bool = False
    """Whether to. Home Assistant then has the names of people, as every reader of the broker."""
    discovery_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")] = (
        "homeassistant"
    )
    """First level of its discovery topics, as set there. `certs.py` writes access rules for the
    default only."""
    pictures: bool = False
    """Whether the best crop of the last hit of each camera is published, for an image entity. It is
    the only way by which pictures of people leave the device, and goes to every reader of the
    broker."""
    device_trackers: bool = False
    """Whether a person is a device tracker too: `home` while a camera of this agent has them in
    view."""
