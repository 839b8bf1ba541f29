"""`edge-reid release`: signed updates over the air, from both sides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import SiteOption

if TYPE_CHECKING:
    from edge_reid.core.config.agent_settings import AgentSettings
    from edge_reid.core.config.sync_settings import UpdateSettings
    from edge_reid.release.device import Device

release = typer.Typer(
    help="Update devices over the air. They take a release group by group.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DeviceRoot = Annotated[
    Path, typer.Option("--root", hidden=True, help="A folder that stands for /.")
]
SYSTEM = Path("/")


@release.command("stop")
@takes_login()
def stop(
    site: SiteOption,
    *,
    login: BrokerLogin,
) -> None:
    """Take a release back. Devices that have not begun with it do not begin."""
    from edge_reid.release.channel import ReleaseChannel

    with ReleaseChannel(login.broker(), login.root, topic_name("--site", site)) as channel:
        channel.put_head(b"")
    typer.echo(f"{site}: no release is published any more; devices stay as they are")


@release.command("fetch")
def fetch(root: DeviceRoot = SYSTEM) -> None:
    """On a device: look for a release, and fetch it. Installs nothing.

    edge-reid-fetch.timer runs this every ten minutes, as the user of the agents.
    """
    from edge_reid.cli.verb_progress import stages
    from edge_reid.core.foreign_text import shown
    from edge_reid.release.updater import check_once

    if (found := _updated_device(root)) is None:
        return
    with stages() as progress:
        report = check_once(*found, progress)
    reason = f": {shown(report.reason)}" if report.reason else ""
    wanted = f", wanted is {report.wanted}" if report.wanted else ", no release is published"
    typer.echo(f"runs {report.release}{wanted}: {report.state}{reason}")
    if report.state == "failed":
        raise typer.Exit(1)


@release.command("install")
def install(root: DeviceRoot = SYSTEM) -> None:
    """On a device, as root: install what `fetch` has fetched.

    Only what the pinned key has signed is installed.

    edge-reid-install.path runs this when something lies there.
    """
    from edge_reid.release.installer import install_release

    if (found := _updated_device(root)) is None:
        return
    attempt = install_release(*found)
    typer.echo(f"release {attempt.version}: {attempt.failure or 'is installed'}")
    if attempt.failure:
        raise typer.Exit(1)


def _updated_device(root: Path) -> tuple[Device, AgentSettings, UpdateSettings] | None:
    """The device, and the settings by which it follows releases, if it does."""
    from edge_reid.release.device import Device

    device = Device(root)
    settings = device.settings
    if settings is None or settings.update is None:
        typer.echo("no camera of this device has an [update] section: it is upgraded by hand")
        return None
    return device, settings, settings.update
