"""Which devices of a site take a release first."""

from __future__ import annotations

from deploy.site.site import Site
from edge_reid.release.release_head import RolloutGroup


def rollout_groups(site: Site) -> tuple[RolloutGroup, ...]:
    """The groups of the site's file, each device by the agent that reports for it.

    That is the first one by camera: the device itself looks for it in the same way.
    """
    return tuple(
        RolloutGroup(
            name=group,
            agents=tuple(
                site.agents(name)[0].name
                for name, device in sorted(site.devices.items())
                if device.group == group
            ),
        )
        for group in site.rollout.groups
    )
