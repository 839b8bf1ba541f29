"""Which boxes of a site take a release first."""

from __future__ import annotations

from deploy.site.site import Site
from edge_reid.release.release_head import Group


def rollout_groups(site: Site) -> tuple[Group, ...]:
    """The groups of the site's file, each box by the agent that reports for it.

    That is the first one by camera: the box itself looks for it in the same way.
    """
    return tuple(
        Group(
            name=group,
            agents=tuple(
                site.agents(name)[0].name
                for name, box in sorted(site.boxes.items())
                if box.group == group
            ),
        )
        for group in site.rollout.groups
    )
