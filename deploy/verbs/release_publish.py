"""`edge-reid release publish`: a signed update goes out to the devices of a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.verbs.needs import need_deploy
from edge_reid.cli.broker_options import BrokerLogin, takes_login
from edge_reid.cli.options import PublisherKeyOption, SiteFileOption

if TYPE_CHECKING:
    from edge_reid.release.release_publication import PublishedRelease


@takes_login()
def publish(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE", help="One a target, made without --device.")
    ],
    config: SiteFileOption,
    key: PublisherKeyOption,
    to: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where devices take files from: a server's, a stick's."),
    ],
    *,
    login: BrokerLogin,
) -> None:
    """Publish a release for the devices of a site.

    Its files go into a folder, its signed head to the broker.

    Devices with an [update] section take it, the first group first; `edge-reid fleet` shows how
    far. Publishing an older release takes all devices back to it.
    """
    need_deploy()
    from deploy.site.rollout_groups import renamed_reporters, rollout_groups
    from deploy.site.site import load_site
    from edge_reid.cli.verb_progress import stages
    from edge_reid.release.channel import ReleaseChannel
    from edge_reid.release.release_publication import RolloutPlan
    from edge_reid.release.release_publication import publish as publish_release
    from edge_reid.signing.keys import read_signing_key

    site = load_site(config)
    signing_key = read_signing_key(key, "release")
    with ReleaseChannel(login.broker(), login.root, site.site) as channel, stages() as progress:
        renamed = renamed_reporters(site, channel.read().reports)
        groups = rollout_groups(site, without=renamed)
        plan = RolloutPlan(site.site, groups, site.rollout.soak_s)
        done = publish_release(bundles, plan, signing_key, to, channel, progress=progress)
    _say_published(done, to)
    for device, agent in sorted(renamed.items()):
        typer.echo(
            f"{device}: reports as {agent} until it runs this release, so it is in no group this "
            "time and comes last",
            err=True,
        )


def _say_published(done: PublishedRelease, to: Path) -> None:
    head = done.head
    if done.foreign:
        typer.echo("warning: the head there was not signed by this key; it is replaced", err=True)
    groups = [f"{group.name} ({len(group.agents)})" for group in head.groups]
    typer.echo(
        f"release {head.version} for site {head.site}, serial {head.serial}: "
        f"{', '.join(sorted(head.targets))}; first {', then '.join([*groups, 'all others'])}"
    )
    typer.echo(
        f"in site.toml [agent.update] least_serial = {head.serial} keeps a device that is set up "
        "anew from taking an older one"
    )
    typer.echo(f"{to}: {done.new} files are new, {done.new_bytes / 1e6:.1f} MB")
