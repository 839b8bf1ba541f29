"""`site.toml`: one file that describes the devices of a site.

Relative paths are relative to the file. Unknown keys are mistakes, and every mistake is reported
in one go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from deploy.site.agent_config import AgentConfigSpec, AgentFile, Carried, agent_file
from deploy.site.device_specs import AgentsPerDevice, DeviceTables, SharedTables, device_specs
from deploy.site.site_mistakes import (
    HOST_NAME,
    missing_files,
    mistakes_between,
    old_words,
)
from deploy.site.site_models import carried_detectors, unknown_names, with_models_found
from deploy.site.targets import TargetName
from edge_reid.core.bundled_models import DEFAULT_EMBEDDINGS, DETECTOR, shipped_model
from edge_reid.core.config.section import Name, Section
from edge_reid.core.config.settings_file import read_toml
from edge_reid.core.errors import ConfigError, UsageError
from edge_reid.core.validation_errors import describe_mistakes

_MAX_SSID_BYTES = 32
_PUBLIC_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\r\n]*)?")


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path.expanduser()


LocalFile = Annotated[Path, AfterValidator(_beside_the_file)]
"""A file of the workstation; relative to the site's file."""


def _host_name(name: str) -> str:
    if not HOST_NAME.fullmatch(name):
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


class Files(Section):
    """What goes to every device."""

    ca_file: LocalFile | None = None
    """Certificate authority of the broker. Default: the device's own list."""
    gallery_public_key: LocalFile | None = None
    """Public key of those who sign galleries; needed with `[agent.gallery_sync]`."""
    release_public_key: LocalFile | None = None
    """Public key of those who sign releases; needed with `[agent.update]`. `edge-reid flash`
    refuses bundles that are not signed with it."""
    gallery: LocalFile | None = None
    """First gallery, in force until another is published."""


class WifiSettings(Section):
    """The network that a device joins at its first start. Never in a bundle."""

    ssid: Annotated[str, AfterValidator(_ssid)]
    """Name of the network, 1 to 32 bytes."""
    password_file: LocalFile | None = None
    """File whose first line is the password. Default: `edge-reid flash` asks for it."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    """Country in which the device stands, which decides the channels that its radio may use."""


class Ssh(Section):
    """Who may log in to a device, with a key and never with a password."""

    user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
    """Made at the first start, if it does not exist."""
    authorized_keys: Annotated[
        tuple[Annotated[str, AfterValidator(_authorized_key)], ...], Field(min_length=1)
    ]
    """Public keys, each in one line as in `~/.ssh/authorized_keys`."""


class Rollout(Section):
    """Order in which the devices install a new release by themselves."""

    groups: tuple[Name, ...] = ()
    """Names of groups, canaries first; devices without a group come last."""
    soak_s: Annotated[float, Field(ge=0, le=86_400 * 30)] = 3600.0
    """Time that every device of a group must have run a release well before the next group
    begins."""


class SiteCamera(Section, extra="allow"):
    """One camera: `source`, `detect`, `track`, `embed` and `decide` of `agent.toml`, which win over
    what the device and the site have. The camera of an agent that has one camera takes every
    section.
    """

    cert_file: LocalFile | None = None
    """Certificate at the broker of the camera's own agent. Default: that of the device."""
    key_file: LocalFile | None = None
    """The private key of `cert_file`."""

    @model_validator(mode="after")
    def _pair(self) -> SiteCamera:
        _check_pair(self.cert_file, self.key_file)
        return self


class SiteDevice(Section):
    """One device and its cameras."""

    hostname: Annotated[str, AfterValidator(_host_name)] | None = None
    """Host name on the network. Default: the name of the device."""
    target: TargetName | None = None
    """System of the device. Default: that of the site."""
    group: Name | None = None
    """One of `rollout.groups`; updates go group by group. Default: after all groups."""
    agents: AgentsPerDevice = "one"
    """`one` agent watches all cameras; or each has its own, `per-camera`, with a certificate, a
    copy of the models and a connection of its own."""
    agent: dict[str, Any] = Field(default_factory=dict)
    """Sections of `agent.toml` for this device, which win over `[agent]`'s."""
    cert_file: LocalFile | None = None
    """Certificate at the broker of the device's agent."""
    key_file: LocalFile | None = None
    """The private key of `cert_file`."""
    password_file: LocalFile | None = None
    """File whose first line is the password at a broker with logins."""
    timezone: Annotated[str, AfterValidator(_time_zone)] | None = None
    """Time zone such as `Europe/Berlin`. Default: as the image has it."""
    address: Annotated[str, AfterValidator(_interface)] | None = None
    """Fixed address with its prefix, such as `192.0.2.17/24`. Default: DHCP."""
    gateway: Address | None = None
    """Router in the network of `address`."""
    dns: tuple[Address, ...] = ()
    """Name servers, with `address`."""
    cameras: Annotated[dict[Name, SiteCamera], Field(min_length=1)]

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


class Site(Section):
    """All devices of a site."""

    site: Name
    """Topic level of the site."""
    target: TargetName
    """System of the devices, which decides which wheels they get; a device may have its own."""
    agent: dict[str, Any] = Field(default_factory=dict)
    """Sections of `agent.toml` that all agents share."""
    files: Files = Files()
    wifi: WifiSettings | None = None
    ssh: Ssh | None = None
    rollout: Rollout = Rollout()
    devices: Annotated[dict[Name, SiteDevice], Field(min_length=1)]
    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any) -> None:
        """Keep where the file lies."""
        self._folder = (context or {}).get("folder", Path())

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
        """The agents of a device, by the name of their units."""
        return tuple(agent_file(plan) for plan in self.plans(name))

    def plans(self, name: str) -> Iterator[AgentConfigSpec]:
        """What the agents of a device are made from, mistakes and all."""
        device = self.device(name)
        carried = Carried(
            ca=self.files.ca_file is not None,
            certificate=device.cert_file is not None,
            password=device.password_file is not None,
            gallery_key=self.files.gallery_public_key is not None,
            release_key=self.files.release_public_key is not None,
        )
        return device_specs(
            SharedTables(self.site, self.agent, carried),
            DeviceTables(
                name,
                device.agents,
                device.agent,
                {camera: its.model_extra or {} for camera, its in device.cameras.items()},
                frozenset(camera for camera, its in device.cameras.items() if its.cert_file),
            ),
        )

    @property
    def names_embedding(self) -> bool:
        """Whether it says which embedding model its agents run; else each takes its gallery's."""
        return "embedding" in self.agent.get("models", {})

    @property
    def embeddings(self) -> tuple[Path, ...]:
        """The files of all embedding models that a bundle brings, the site's own or the default
        first: then those that were the default before, which its devices may have galleries of.
        """
        if self.names_embedding:
            return (Path(self.agent["models"]["embedding"]),)
        return tuple(map(shipped_model, DEFAULT_EMBEDDINGS))

    @property
    def _detector(self) -> Path:
        """The file of cameras that have none of their own."""
        return Path(self.agent.get("models", {}).get("detector", shipped_model(DETECTOR)))

    def detectors(self, names: Iterable[str]) -> tuple[Path, ...]:
        """The files of all detectors that a bundle for these devices brings, the site's first."""
        cameras = [table for name in names for table in self.device(name).cameras.values()]
        own = carried_detectors([table.model_extra or {} for table in cameras], self._folder)
        return tuple(dict.fromkeys((self._detector, *own)))


def load_site(path: Path, *, needs_files_of: str | None = None) -> Site:
    """The site that a file describes, every agent's configuration checked.

    Args:
        path: of the file.
        needs_files_of: a device whose files have to be there; looked at here only if the site's
            file has other mistakes, so that all are listed at once.

    Raises:
        ConfigError: with every mistake at once.
    """
    written = read_toml(path)
    table = with_models_found(_with_devices(written), path.parent)
    problems: list[str] = []
    site = None
    try:
        site = Site.model_validate(table, context={"folder": path.parent})
    except ValidationError as error:
        problems += describe_mistakes(error, known=Site, of_toml=True)
    problems += [*old_words(written), *unknown_names(written, path.parent)]
    problems += mistakes_between(table)
    if problems and needs_files_of:
        problems += missing_files(table, needs_files_of, path.parent)
    if problems or site is None:
        raise ConfigError(str(path), list(dict.fromkeys(problems)))
    return site


def _with_devices(table: dict[str, Any]) -> dict[str, Any]:
    """The table with its devices under their name of today, so that their mistakes are found."""
    if "boxes" not in table:
        return table
    others = {key: value for key, value in table.items() if key != "boxes"}
    return {"devices": table["boxes"], **others}


def _check_pair(cert_file: Path | None, key_file: Path | None) -> None:
    if (cert_file is None) != (key_file is None):
        raise ValueError("cert_file and key_file: should come together")
