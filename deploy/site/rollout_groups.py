"""Which devices of a site take a release first."""

from __future__ import annotations

from collections.abc import Container

from deploy.site.site import Site
from edge_reid.release.release_head import RolloutGroup
from edge_reid.release.rollout import Reports
from edge_reid.wire.payloads import utc_s


def rollout_groups(site: Site, without: Container[str] = ()) -> tuple[RolloutGroup, ...]:
    """The groups of the site's file, each device by the agent that reports for it.

    Args:
        site: whose groups they are.
        without: devices that are in none this time.
    """
    return tuple(
        RolloutGroup(
            name=group,
            agents=tuple(
                reporter(site, name)
                for name, device in sorted(site.devices.items())
                if device.group == group and name not in without
            ),
        )
        for group in site.rollout.groups
    )


def reporter(site: Site, device: str) -> str:
    """The agent that reports for a device: the first one, as the device itself looks for it."""
    return site.agents(device)[0].name


def renamed_reporters(site: Site, reports: Reports) -> dict[str, str]:
    """Devices that report under a name which the site's file has no more, and that name.

    Their agents become one with this release, or several. Until they have it nobody hears of them
    under the new name: in a group they would hold up all groups after it.

    Args:
        site: as it is to be.
        reports: what devices say last, by the agent that reports.
    """
    found = {
        name: max(known, key=lambda agent: utc_s(reports[agent].at))
        for name, device in site.devices.items()
        if (known := {name, *(f"{name}-{camera}" for camera in device.cameras)} & reports.keys())
    }
    return {name: agent for name, agent in found.items() if agent != reporter(site, name)}
