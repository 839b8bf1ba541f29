"""One agent's `agent.toml`, put together from what its site shares and what is its own.

What lies where on a device is decided here, so the tables of a site may not name those files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import tomli_w
from pydantic import ValidationError

from deploy.site import installed_paths
from edge_reid.core.bundled_models import DETECTOR, shipped_names
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.camera_settings import CameraSettings
from edge_reid.core.config.settings_file import merged
from edge_reid.core.errors import ConfigError
from edge_reid.core.expectations import Location
from edge_reid.core.validation_errors import describe_mistakes

Table = Mapping[str, Any]

_PLACED: dict[Location, str] = {
    ("site",): "is named once, at the top of the file",
    ("camera",): "is named by its table, devices.DEVICE.cameras.CAMERA",
    ("cameras",): "are tables of their device, devices.DEVICE.cameras.CAMERA",
    ("agent",): "is named after its device; leave it out",
    ("gallery",): f"lies in {installed_paths.STATE}; for a first one set files.gallery",
    ("outbox", "path"): f"lies in {installed_paths.STATE}; leave it out",
    ("mqtt", "ca_file"): "set files.ca_file",
    ("mqtt", "cert_file"): "set cert_file of the device",
    ("mqtt", "key_file"): "set key_file of the device",
    ("mqtt", "password_file"): "set password_file of the device",
    ("gallery_sync", "public_key"): "set files.gallery_public_key",
    ("update", "public_key"): "set files.release_public_key",
    ("models", "public_key"): "set files.release_public_key",
}
_SITE_WIDE: dict[Location, str] = {
    ("models", "detector"): "set it in [agent.models], for the whole site",
    ("models", "embedding"): "set it in [agent.models]: a site shares a gallery, so one model",
    ("update",): "set it in [agent.update]: a device is updated as a whole",
}
_OF_AGENT = frozenset(AgentSettings.model_fields) - frozenset(CameraSettings.model_fields)
"""Keys that one of several cameras of an agent cannot have for itself."""
_OF_CAMERA = frozenset(CameraSettings.model_fields) - frozenset(AgentSettings.model_fields)
"""Keys that only the table of a camera has: with one of them an only camera has a table too."""
_ABSOLUTE: tuple[Location, ...] = (
    ("source", "ca_file"),
    ("gallery_sync", "ca_file"),
    ("update", "ca_file"),
    ("metrics", "token_file"),
    ("web", "token_file"),
    ("web", "cert_file"),
    ("web", "key_file"),
)
_DETECTOR = ("detect", "model")


@dataclass(frozen=True, slots=True)
class Carried:
    """Which files come along to this device, and so may be named in its configuration."""

    ca: bool = False
    certificate: bool = False
    own_certificate: bool = False
    """The agent has one of its own, beside other agents of its device."""
    password: bool = False
    gallery_key: bool = False
    release_key: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class AgentConfigSpec:
    """What one agent's configuration is made from."""

    site: str
    device: str
    agent: str
    """Its name: `DEVICE`, or `DEVICE-CAMERA` where each camera has an agent."""
    cameras: Mapping[str, Table]
    """Those it watches, with what is their own."""
    shared: Table
    """Of all agents of the site."""
    own: Table
    """Of the agents of this device."""
    carried: Carried

    @property
    def unit(self) -> str:
        """Name of its unit and of its files on the device: `edge-reid@UNIT.service`."""
        return self.device if self._has_several else self._camera

    @property
    def table(self) -> dict[str, Any]:
        """The whole `agent.toml`."""
        given = merged(_with_models_on_device(self.shared), self.own)
        named: dict[str, Any] = {"site": self.site, "agent": self.agent}
        if self._has_tables:
            source = given.pop("source", {})
            named["cameras"] = {
                name: merged({"source": source}, _of_camera_only(table))
                for name, table in self.cameras.items()
            }
            given = merged(given, self._of_only_camera)
        else:
            named["camera"] = self._camera
            given = merged(given, self.cameras[self._camera])
        return merged(merged(named, given), self._files(given))

    def mistakes(self) -> Iterator[str]:
        """One line each: where in the file of the site, what was expected."""
        yield from _misplaced(self.shared, ("agent",), _PLACED)
        yield from _misplaced(self.own, self._own_place, {**_PLACED, **_SITE_WIDE})
        for name, table in self.cameras.items():
            place = self._camera_place(name)
            yield from _misplaced(table, place, {**_PLACED, **_SITE_WIDE})
            if self._has_several:
                yield from self._of_all_cameras(table, place)
        if self._has("gallery_sync") and not self.carried.gallery_key:
            yield "files.gallery_public_key: is missing, agents with gallery_sync need it"
        if self._has("update") and not self.carried.release_key:
            yield "files.release_public_key: is missing, agents with update need it"
        try:
            AgentSettings.model_validate(self.table)
        except ValidationError as error:
            yield from describe_mistakes(error, self._place, AgentSettings, of_toml=True)

    def _of_all_cameras(self, table: Table, place: Location) -> Iterator[str]:
        """Sections that one of several cameras cannot have for itself."""
        remedy = f"is of all cameras; set it in [{_dotted(self._own_place)}]"
        for key in sorted(_OF_AGENT & table.keys()):
            if (key,) not in {**_PLACED, **_SITE_WIDE}:
                yield f"{_dotted((*place, key))}: {remedy}"

    def _files(self, given: Table) -> dict[str, Any]:
        """Where the files of this agent lie on the device."""
        mqtt = {
            "ca_file": installed_paths.CA if self.carried.ca else None,
            "cert_file": self.secret("crt") if self.carried.certificate else None,
            "key_file": self.secret("key") if self.carried.certificate else None,
            "password_file": installed_paths.PASSWORD if self.carried.password else None,
        }
        named = {key: str(path) for key, path in mqtt.items() if path}
        outbox = {"path": str(installed_paths.outbox(self.unit))}
        sync = {"gallery_sync": {"public_key": str(installed_paths.GALLERY_PUBLIC_KEY)}}
        update = {"update": {"public_key": str(installed_paths.RELEASE_PUBLIC_KEY)}}
        return {
            "gallery": str(installed_paths.gallery(self.unit)),
            **(_signed_models(given) if self.carried.release_key else {}),
            **({"outbox": outbox} if isinstance(given.get("outbox", {}), Mapping) else {}),
            **({"mqtt": named} if named and _has_broker(given) else {}),
            **(sync if self._has("gallery_sync") else {}),
            **(update if self._has("update") else {}),
        }

    def secret(self, suffix: str) -> PurePosixPath:
        """Where the agent's certificate (`crt`) or its key (`key`) lies on the device."""
        shared = {"crt": installed_paths.CERT, "key": installed_paths.KEY}[suffix]
        return (
            installed_paths.SECRETS / f"{self.agent}.{suffix}"
            if self.carried.own_certificate
            else shared
        )

    @property
    def _has_several(self) -> bool:
        return len(self.cameras) > 1

    @property
    def _has_tables(self) -> bool:
        """Whether cameras stand in tables, and not in the short form of one."""
        if self._has_several:
            return True
        (own,) = self.cameras.values()
        detect = own.get("detect")
        return bool(_OF_CAMERA & own.keys()) or (isinstance(detect, Mapping) and "model" in detect)

    @property
    def _of_only_camera(self) -> Table:
        """What is said of the agent in the table of its only camera."""
        if self._has_several:
            return {}
        (own,) = self.cameras.values()
        return {key: value for key, value in own.items() if key in _OF_AGENT}

    @property
    def _camera(self) -> str:
        """The only one."""
        (name,) = self.cameras
        return name

    def _has(self, section: str) -> bool:
        tables = (self.shared, self.own, *self.cameras.values())
        return any(isinstance(table.get(section), Mapping) for table in tables)

    @property
    def _own_place(self) -> Location:
        return ("devices", self.device, "agent")

    def _camera_place(self, name: str) -> Location:
        return ("devices", self.device, "cameras", name)

    def _place(self, location: Location) -> Location:
        """Where the author of the file wrote, or should write, what stands here."""
        shared = ("agent",), self.shared
        own = self._own_place, self.own
        if location[0] != "cameras" or len(location) == 1 or not self._has_tables:
            cameras = [] if self._has_several else self.cameras.items()
            only = [(self._camera_place(name), table) for name, table in cameras]
            return _deepest(location, *only, own, shared)
        name, rest = str(location[1]), location[2:]
        camera = self._camera_place(name), self.cameras.get(name, {})
        if rest[:1] == ("source",):
            return _deepest(rest, camera, own, shared)
        return _deepest(rest, camera)


def _deepest(location: Location, *tables: tuple[Location, Table]) -> Location:
    """A location in that table which reaches it farthest; of the first, where none reaches it."""
    place, _ = max(tables, key=lambda placed: _depth(placed[1], location))
    return (*place, *location)


def _of_camera_only(table: Table) -> Table:
    """What may stand in the table of one of several cameras; the rest is a mistake of its own."""
    return {key: value for key, value in table.items() if key not in _OF_AGENT}


@dataclass(frozen=True, slots=True, eq=False)
class AgentFile:
    """An agent as it will run on its device."""

    plan: AgentConfigSpec
    settings: AgentSettings

    @property
    def name(self) -> str:
        return self.settings.agent

    @property
    def path(self) -> PurePosixPath:
        """Of the file, on the device."""
        return installed_paths.CONFIG / f"{self.plan.unit}.toml"

    @property
    def text(self) -> str:
        """The file: what the site says, and nothing that is a default."""
        return "# Written by edge-reid from the site's file.\n" + tomli_w.dumps(self.plan.table)


def agent_file(plan: AgentConfigSpec) -> AgentFile:
    """The agent of a plan.

    Raises:
        ConfigError: with every mistake at once.
    """
    if problems := list(plan.mistakes()):
        raise ConfigError(f"agent {plan.agent} of device {plan.device}", problems)
    return AgentFile(plan, AgentSettings.model_validate(plan.table))


def _with_models_on_device(shared: Table) -> Table:
    models = shared.get("models")
    if not isinstance(models, Mapping):
        return shared
    moved = {
        key: str(installed_paths.model(PurePosixPath(models[key]).name))
        for key in ("detector", "embedding")
        if isinstance(models.get(key), str) and models[key]
    }
    return merged(shared, {"models": moved})


def _signed_models(given: Table) -> dict[str, Any]:
    """With the key that signs all models of the bundle, those inside our wheel too. Of an embedding
    model that the site does not name nothing is said, so that it is that of the gallery.
    """
    models = given.get("models", {})
    if not isinstance(models, Mapping):
        return {}
    detector = {} if "detector" in models else {"detector": str(installed_paths.model(DETECTOR))}
    return {"models": {**detector, "public_key": str(installed_paths.RELEASE_PUBLIC_KEY)}}


def _has_broker(table: Table) -> bool:
    mqtt = table.get("mqtt")
    return isinstance(mqtt, Mapping) and "url" in mqtt


def _misplaced(table: Table, at: Location, remedies: Mapping[Location, str]) -> Iterator[str]:
    for key, remedy in remedies.items():
        if _depth(table, key) == len(key):
            yield f"{_dotted((*at, *key))}: {remedy}"
    for key in (*_ABSOLUTE, _DETECTOR):
        value = _get(table, key)
        if isinstance(value, str) and value and not PurePosixPath(value).is_absolute():
            or_name = f", or one of {shipped_names('detector')}" if key == _DETECTOR else ""
            yield f"{_dotted((*at, *key))}: should be an absolute path on the device{or_name}"


def _dotted(location: Location) -> str:
    return ".".join(map(str, location))


def _depth(table: Any, location: Location) -> int:
    """How far along a location a table reaches."""
    if not location or not isinstance(table, Mapping) or location[0] not in table:
        return 0
    return 1 + _depth(table[location[0]], location[1:])


def _get(table: Any, location: Location) -> Any:
    for key in location:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table
