"""One camera of an agent."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from edge_reid.core.active_hours import hours_window
from edge_reid.core.config.area_settings import LineSettings, MaskSettings, ZoneSettings
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.config.section import Name, Section
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.config.vision_settings import CameraDetectSettings, EmbedSettings, TrackSettings
from edge_reid.core.names import RESERVED_LEVELS


def _camera_name(name: str) -> str:
    if name in RESERVED_LEVELS:
        raise ValueError(f"should be another name: {name} is a topic of its own in every site")
    return name


CameraName = Annotated[Name, AfterValidator(_camera_name)]


def _window_text(line: str) -> str:
    hours_window(line)
    return line


class CameraSettings(Section):
    """One of several cameras, or the only one, where it needs what only this table has: `masks`,
    `zones`, `lines`, `active`, `detect.model`. What is not set here is taken from the agent's table
    of that name.
    """

    source: SourceSettings
    detect: CameraDetectSettings = CameraDetectSettings()
    track: TrackSettings = TrackSettings()
    embed: EmbedSettings = EmbedSettings()
    decide: DecideSettings = DecideSettings()
    masks: Annotated[tuple[MaskSettings, ...], Field(max_length=32)] = ()
    """Each is a table `[[cameras.NAME.masks]]`."""
    zones: Annotated[tuple[ZoneSettings, ...], Field(max_length=32)] = ()
    """Each is a table `[[cameras.NAME.zones]]`."""
    lines: Annotated[tuple[LineSettings, ...], Field(max_length=32)] = ()
    """Each is a table `[[cameras.NAME.lines]]`."""
    active: Annotated[
        tuple[Annotated[str, AfterValidator(_window_text)], ...], Field(max_length=32)
    ] = ()
    """When a live camera is watched, by the wall clock of this device: `mon-fri 07:00-19:00`,
    `sat,sun 22:00-06:00` (into the day after), `sun 00:00-24:00`. Outside of all of them it is not
    even opened, and its status is `inactive`. Default: always. A recording is watched whole."""

    @field_validator("zones", "lines")
    @classmethod
    def _have_names_of_their_own(cls, areas: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [area.name for area in areas]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"should have names of their own; {', '.join(twice)} occurs twice")
        return areas

    @field_validator("source", mode="before")
    @classmethod
    def _is_a_table(cls, value: Any) -> Any:
        is_uri = isinstance(value, str)
        if is_uri:
            raise ValueError('should be a table; write source.uri = "…"')
        return value
