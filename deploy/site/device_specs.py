"""Which agents a device has, and from which tables of the site's file each is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from deploy.site.agent_config import AgentConfigSpec, Carried, Table

AgentsPerDevice = Literal["one", "per-camera"]


@dataclass(frozen=True, slots=True, eq=False)
class SharedTables:
    """What all devices of a site share."""

    site: str
    agent: Table
    carried: Carried
    """To one of its devices; without what only a camera has."""


@dataclass(frozen=True, slots=True, eq=False)
class DeviceTables:
    """What the site's file says of a device."""

    name: str
    agents: AgentsPerDevice
    agent: Table
    cameras: Mapping[str, Table]
    with_certificate: frozenset[str]
    """Cameras that name a certificate."""


def device_specs(shared: SharedTables, device: DeviceTables) -> Iterator[AgentConfigSpec]:
    """The agents of a device, by the name of their units: one, or one for each camera."""
    is_one = device.agents == "one" or len(device.cameras) == 1
    groups = (
        [tuple(sorted(device.cameras))] if is_one else [(name,) for name in sorted(device.cameras)]
    )
    for cameras in groups:
        has_own = cameras[0] in device.with_certificate and len(cameras) == 1
        carried = replace(
            shared.carried,
            certificate=shared.carried.certificate or has_own,
            own_certificate=has_own,
        )
        yield AgentConfigSpec(
            site=shared.site,
            device=device.name,
            agent=device.name if is_one else f"{device.name}-{cameras[0]}",
            cameras={name: device.cameras[name] for name in cameras},
            shared=shared.agent,
            own=device.agent,
            carried=carried,
        )
