"""`site.toml`: one file that describes the devices of a site.

Relative paths are relative to the file. Unknown keys are mistakes, and every mistake is reported
in one go.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from deploy.site.agent_config import AgentConfigSpec, AgentFile, Carried, agent_file
from deploy.site.targets import TargetName
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.config import NAME_PATTERN, Name, merged, read_toml
from edge_reid.core.errors import ConfigError, UsageError
from edge_reid.core.validation_errors import describe_mistakes

_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAX_SSID_BYTES = 32
_PUBLIC_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\r\n]*)?")


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path.expanduser()


LocalFile = Annotated[Path, AfterValidator(_beside_the_file)]
"""A file of the workstation; relative to the site's file."""


def _host_name(name: str) -> str:
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("should be a host name of a-z, 0-9 and - inside, at most 63")
    return name


def _ssid(name: str) -> str:
    if not 1 <= len(name.encode()) <= _MAX_SSID_BYTES or not name.isprintable():
        raise ValueError("should be 1 to 32 bytes that can be printed")
    return name


def _authorized_key(line: str) -> str:
    if not _PUBLIC_KEY.fullmatch(line):
        raise ValueError("should be a public key in one line, such as ssh-ed25519 AAAA… me@laptop")
    return line


def _time_zone(name: str) -> str:
    known = available_timezones()
    if name not in known and (known or not re.fullmatch(r"[A-Za-z0-9_+-]+(/[\w+-]+)*", name)):
        raise ValueError("should be a time zone such as Europe/Berlin")
    return name


def _interface(text: str) -> str:
    if "/" not in text:
        raise ValueError("should have a prefix, such as 192.0.2.17/24")
    return _parsed(ip_interface, text, "an address with its prefix, such as 192.0.2.17/24")


def _address(text: str) -> str:
    return _parsed(ip_address, text, "an address, such as 192.0.2.1")


def _parsed(parse: Any, text: str, expected: str) -> str:
    try:
        return str(parse(text))
    except ValueError:
        raise ValueError(f"should be {expected}") from None


Address = Annotated[str, AfterValidator(_address)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Files(_Section):
    """What goes to every device."""

    ca_file: LocalFile | None = None
    """Certificate authority of the broker; default: the device's own list."""
    gallery_public_key: LocalFile | None = None
    """Of the key that signs galleries; needed with `[agent.gallery_sync]`."""
    release_public_key: LocalFile | None = None
    """Of the key that signs releases; needed with `[agent.update]`. With it `edge-reid flash` takes
    no bundle of another."""
    gallery: LocalFile | None = None
    """A first gallery, in force until another is published."""


class WifiSettings(_Section):
    """The network that a device finds when it starts first. Never in a bundle."""

    ssid: Annotated[str, AfterValidator(_ssid)]
    password_file: LocalFile | None = None
    """A file whose first line is the password; None: it is asked for."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    """Where the device stands: it decides which channels the radio may use."""


class Ssh(_Section):
    """Who may log in to a device, with a key and never with a password."""

    user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
    authorized_keys: Annotated[
        tuple[Annotated[str, AfterValidator(_authorized_key)], ...], Field(min_length=1)
    ]


class Rollout(_Section):
    """In which order the devices take a new release by themselves."""

    groups: tuple[Name, ...] = ()
    """Names that devices may have as their `group`, canaries first; devices of none come last."""
    soak_s: Annotated[float, Field(ge=0, le=86_400 * 30)] = 3600.0
    """So long every device of a group must have run a release well before the next group begins."""


_OF_CAMERA = ("cert_file", "key_file")


class Camera(BaseModel):
    """One agent: what its certificate is, and any table of `agent.toml` over `[agent]`'s."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    cert_file: LocalFile | None = None
    key_file: LocalFile | None = None

    @model_validator(mode="after")
    def _pair(self) -> Camera:
        _check_pair(self.cert_file, self.key_file)
        return self


class SiteDevice(_Section):
    """One device and its cameras."""

    hostname: Annotated[str, AfterValidator(_host_name)] | None = None
    """Default: the name of the device."""
    target: TargetName | None = None
    """Default: that of the site."""
    group: Name | None = None
    """Of `rollout.groups`: updates go group by group. None: after all of them."""
    cert_file: LocalFile | None = None
    key_file: LocalFile | None = None
    password_file: LocalFile | None = None
    """For a broker with logins: a file whose first line is the password."""
    timezone: Annotated[str, AfterValidator(_time_zone)] | None = None
    address: Annotated[str, AfterValidator(_interface)] | None = None
    """A fixed address with its prefix; None: DHCP."""
    gateway: Address | None = None
    dns: tuple[Address, ...] = ()
    cameras: Annotated[dict[Name, Camera], Field(min_length=1)]

    @model_validator(mode="after")
    def _belongs_together(self) -> SiteDevice:
        _check_pair(self.cert_file, self.key_file)
        if self.address is None and (self.gateway or self.dns):
            raise ValueError("gateway and dns: should come with address")
        if self.address and self.gateway:
            network = ip_interface(self.address).network
            if ip_address(self.gateway) not in network:
                raise ValueError(f"gateway: should be within {network}")
        return self


class Site(_Section):
    """All devices of a site."""

    site: Name
    target: TargetName
    agent: dict[str, Any] = {}
    """Tables of `agent.toml` that every agent shares."""
    files: Files = Files()
    wifi: WifiSettings | None = None
    ssh: Ssh | None = None
    rollout: Rollout = Rollout()
    devices: Annotated[dict[Name, SiteDevice], Field(min_length=1)]

    def device(self, name: str) -> SiteDevice:
        """The device of that name; raises UsageError when there is none."""
        if name not in self.devices:
            known = ", ".join(sorted(self.devices))
            raise UsageError(
                f"device {name}: expected one of {known}; it is not in the site's file"
            )
        return self.devices[name]

    def target_of(self, name: str) -> TargetName:
        """What kind of device that one is."""
        return self.device(name).target or self.target

    def hostname_of(self, name: str) -> str:
        """What that device calls itself on its network."""
        return self.device(name).hostname or name

    def agents(self, name: str) -> tuple[AgentFile, ...]:
        """The agents of a device, by camera."""
        return tuple(agent_file(plan) for plan in self.plans(name))

    def plans(self, name: str) -> Iterator[AgentConfigSpec]:
        """What the agents of a device are made from, mistakes and all."""
        device = self.device(name)
        for camera, its in sorted(device.cameras.items()):
            yield AgentConfigSpec(
                site=self.site,
                device=name,
                camera=camera,
                is_only_camera=len(device.cameras) == 1,
                shared=self.agent,
                own=its.model_extra or {},
                carried=Carried(
                    ca=self.files.ca_file is not None,
                    certificate=bool(device.cert_file or its.cert_file),
                    own_certificate=its.cert_file is not None,
                    password=device.password_file is not None,
                    gallery_key=self.files.gallery_public_key is not None,
                    release_key=self.files.release_public_key is not None,
                ),
            )

    def model(self, kind: Literal["detector", "embedding"]) -> Path:
        """The file that the site's agents run."""
        shipped = shipped_model({"detector": DETECTOR, "embedding": EMBEDDING}[kind])
        return Path(self.agent.get("models", {}).get(kind, shipped))


def load_site(path: Path) -> Site:
    """The site that a file describes, every agent's configuration checked.

    Raises:
        ConfigError: with every mistake at once.
    """
    table = read_toml(path)
    if "boxes" in table:
        raise ConfigError(
            str(path),
            ["boxes: is called devices now: [devices.NAME], [devices.NAME.cameras.CAMERA]"],
        )
    table = _with_local_models(table, path.parent)
    try:
        site = Site.model_validate(table, context={"folder": path.parent})
    except ValidationError as error:
        problems = [*describe_mistakes(error), *_mistakes_of_agents(table)]
        raise ConfigError(str(path), list(dict.fromkeys(problems))) from error
    if problems := list(dict.fromkeys(_mistakes(site))):
        raise ConfigError(str(path), problems)
    return site


def _with_local_models(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    models = _table(_table(table.get("agent")).get("models"))
    local = {
        key: str(folder / Path(models[key]).expanduser())
        for key in ("detector", "embedding")
        if isinstance(models.get(key), str)
    }
    return merged(table, {"agent": {"models": local}}) if local else table


def _mistakes(site: Site) -> Iterator[str]:
    for name, device in site.devices.items():
        yield from (line for plan in site.plans(name) for line in plan.mistakes())
        if device.hostname is None and not _HOST_NAME.fullmatch(name):
            yield f"devices.{name}.hostname: is missing, the name of the device cannot be one"
        if device.group is not None and device.group not in site.rollout.groups:
            yield f"devices.{name}.group: should be one of rollout.groups, got {device.group}"
        if (
            sum(camera.cert_file is None for camera in device.cameras.values()) > 1
            and device.cert_file
        ):
            yield (
                f"devices.{name}.cert_file: has several cameras, so several agents; give each "
                "camera a cert_file and key_file of its own"
            )
    yield from _taken_twice("rollout.groups", site.rollout.groups)
    yield from _taken_twice("hostname", map(site.hostname_of, site.devices))
    yield from _taken_twice(
        "camera", (c for device in site.devices.values() for c in device.cameras)
    )
    yield from _taken_twice("agent", (p.agent for name in site.devices for p in site.plans(name)))
    yield from _taken_twice(
        "address", (device.address for device in site.devices.values() if device.address)
    )


def _taken_twice(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"devices: {what} {name} is there {count} times; each needs its own"


def _mistakes_of_agents(table: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the agents of a file that is no whole site."""
    for name, device in _table(table.get("devices")).items():
        cameras = _table(_table(device).get("cameras"))
        for camera, its in cameras.items():
            if re.fullmatch(NAME_PATTERN, name) and re.fullmatch(NAME_PATTERN, camera):
                own = {key: value for key, value in _table(its).items() if key not in _OF_CAMERA}
                yield from AgentConfigSpec(
                    site="site",
                    device=name,
                    camera=camera,
                    is_only_camera=len(cameras) == 1,
                    shared=_table(table.get("agent")),
                    own=own,
                    carried=Carried(gallery_key=True, release_key=True),
                ).mistakes()


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _check_pair(cert_file: Path | None, key_file: Path | None) -> None:
    if (cert_file is None) != (key_file is None):
        raise ValueError("cert_file and key_file: should come together")
