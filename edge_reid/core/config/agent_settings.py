"""Everything that an agent needs."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from edge_reid.core.camera_mistakes import form_mistakes, likeness_mistakes
from edge_reid.core.config.broker_settings import (
    HomeAssistantSettings,
    MqttSettings,
    OutboxSettings,
)
from edge_reid.core.config.camera_settings import CameraName, CameraSettings
from edge_reid.core.config.command_settings import CommandSettings
from edge_reid.core.config.decide_settings import DecideSettings, LatencySettings, StrangerSettings
from edge_reid.core.config.listener_settings import MetricsSettings
from edge_reid.core.config.section import Name, Section
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.config.sync_settings import GallerySyncSettings, UpdateSettings
from edge_reid.core.config.vision_settings import (
    DetectSettings,
    EmbedSettings,
    ModelSettings,
    TrackSettings,
)
from edge_reid.core.config.web_settings import WebSettings
from edge_reid.core.validation_errors import as_lines


def agent_name(hostname: str) -> str:
    """The name of an agent, made from a host name: `Gate-1.local` → `gate-1`."""
    first = hostname.split(".", maxsplit=1)[0].lower()
    return re.sub(r"[^a-z0-9_-]", "-", first)[:64] or "agent"


def _default_agent(values: dict[str, Any]) -> str:
    host = agent_name(socket.gethostname())
    return host if len(values["cameras"]) > 1 else f"{host}-{next(iter(values['cameras']))}"[:64]


class AgentSettings(Section):
    """Everything that `edge-reid run` needs.

    One camera is `camera` with `[source]`; several are tables `[cameras.NAME]`. So is a single one
    that has zones, lines, masks, `active` or a detector of its own (`detect.model`).
    """

    site: Name
    """Topic level of the site."""
    camera: CameraName | None = None
    """Topic level of the only camera; not `agents`, `gallery`, `identities` or `release`. Several
    cameras have `[cameras.NAME]` instead."""
    gallery: Path
    """SQLite file of the gallery."""
    source: SourceSettings | None = None
    models: ModelSettings = Field(default_factory=ModelSettings)
    detect: DetectSettings = DetectSettings()
    track: TrackSettings = TrackSettings()
    embed: EmbedSettings = EmbedSettings()
    decide: DecideSettings = DecideSettings()
    cameras: dict[CameraName, CameraSettings] = Field(default_factory=dict, validate_default=True)
    """NAME is the topic level of the camera. The short form `camera` and `[source]` does not
    stand beside these tables."""
    agent: Name = Field(default_factory=_default_agent)
    """Topic level of this agent, unlike that of any other in the site. Default: host name and
    camera; with several cameras the host name."""
    latency: LatencySettings = LatencySettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    gallery_sync: GallerySyncSettings | None = None
    """Without this section the gallery is a file of its own, into which people are enrolled
    here."""
    update: UpdateSettings | None = None
    """Without this section the device is upgraded by hand."""
    strangers: StrangerSettings | None = None
    """Without this section nobody who is not enrolled is remembered."""
    commands: CommandSettings = CommandSettings()
    home_assistant: HomeAssistantSettings = HomeAssistantSettings()
    metrics: MetricsSettings | None = None
    """Without this section nobody is listened to."""
    web: WebSettings | None = None
    """Without this section, and without `--web`, there is no page."""

    @field_validator("camera", mode="before")
    @classmethod
    def _is_a_name(cls, value: Any) -> Any:
        is_table = isinstance(value, Mapping)
        if is_table:
            raise ValueError("should be the name of the only camera; several are [cameras.NAME]")
        return value

    @field_validator("cameras", mode="before")
    @classmethod
    def _have_a_source(cls, tables: Any, info: ValidationInfo) -> Any:
        """Where both forms stand, that is told, and not that a table lacks the source which
        `[source]` has.
        """
        camera, source = info.data.get("camera"), info.data.get("source")
        own = tables.get(camera) if isinstance(tables, Mapping) else None
        if source is None or not isinstance(own, Mapping) or "source" in own:
            return tables
        return {**tables, camera: {**own, "source": source}}

    @field_validator("cameras")
    @classmethod
    def _are_complete(
        cls, tables: dict[str, CameraSettings], info: ValidationInfo
    ) -> dict[str, CameraSettings]:
        """What is not set for a camera is what is set for the agent."""
        given = info.data
        if not {"camera", "source"} <= given.keys():  # their mistakes are listed
            return tables
        camera, source = given["camera"], given["source"]
        form = form_mistakes(camera, has_source=source is not None, names=tables)
        uris = {f"{name}.source.uri": table.source.uri for name, table in tables.items()}
        uris |= {
            f"{name}.source.detect_uri": table.source.detect_uri
            for name, table in tables.items()
            if table.source.detect_uri
        }
        if mistakes := [*form, *likeness_mistakes(tables, uris)]:
            raise as_lines(mistakes)
        whole = tables or {camera: CameraSettings(source=source)}
        return {name: _completed(table, given) for name, table in whole.items()}

    def _mistakes(self) -> Iterator[str]:
        if self.gallery_sync and self.gallery_sync.source == "mqtt" and self.mqtt.url is None:
            yield "gallery_sync.source: expected mqtt.url beside mqtt, got none; set it"
        if self.home_assistant.enabled and self.mqtt.url is None:
            yield "home_assistant.enabled: expected mqtt.url beside it, got none; set it"
        if self.home_assistant.pictures and not self.home_assistant.enabled:
            yield "home_assistant.pictures: expected enabled = true beside it; set it"
        if self.strangers and self.strangers.share and not self._has_tls_broker:
            yield (
                "strangers.share: expected mqtt.url with mqtts:// beside it, got "
                f"{self.mqtt.url or 'none'}; devices know each other by their certificates"
            )
        if self.update and self.mqtt.url is None:
            yield "update: expected mqtt.url, got none; heads of releases come from the broker"

    @property
    def _has_tls_broker(self) -> bool:
        return self.mqtt.url is not None and self.mqtt.url.startswith("mqtts://")

    @property
    def outbox_path(self) -> Path:
        """File of the outbox. Each agent of a device has its own."""
        return self.outbox.path or self.gallery.with_name(f"outbox-{self.agent}.db")

    @property
    def scores_path(self) -> Path:
        """File of what is counted of unknown tracks. Each agent of a device has its own."""
        return self.outbox_path.with_name(f"scores-{self.agent}.json")

    @property
    def kept_hits_path(self) -> Path:
        """Folder of hits that are kept for the page. Each agent of a device has its own."""
        return self.outbox_path.with_name(f"hits-{self.agent}")

    @property
    def strangers_path(self) -> Path:
        """File of the strangers, whether or not there is a section `[strangers]`."""
        given = self.strangers.path if self.strangers else None
        return given or self.outbox_path.with_name("strangers.db")

    @property
    def heard_strangers_path(self) -> Path:
        """File of what other devices say of strangers. Each agent of a device has its own."""
        return self.outbox_path.with_name(f"heard-strangers-{self.agent}.db")


def _completed(camera: CameraSettings, agent: Mapping[str, Any]) -> CameraSettings:
    """The camera with the agent's keys where it has none of its own."""
    whole: dict[str, Any] = {}
    for section in ("detect", "track", "embed", "decide"):
        if section in agent:  # else it has mistakes, which are listed
            own = getattr(camera, section)
            shared = {
                key: getattr(agent[section], key) for key in type(agent[section]).model_fields
            }
            ours = {key: getattr(own, key) for key in own.model_fields_set}
            whole[section] = own.model_copy(update=shared | ours)
    detect = whole.get("detect", camera.detect)
    if detect.model is None and "models" in agent:
        whole["detect"] = detect.model_copy(update={"model": agent["models"].detector})
    return camera.model_copy(update=whole)
