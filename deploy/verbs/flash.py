"""`edge-reid flash`: from an empty card, or a device in the field, to one that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.verbs.needs import need_deploy
from deploy.verbs.old_words import OldBox, refuse_old_box
from edge_reid.cli.options import SiteFileOption
from edge_reid.core.errors import UsageError


def flash(
    config: SiteFileOption,
    bundle: Annotated[Path, typer.Option(help="Made for this device by `edge-reid bundle`.")],
    device: Annotated[str | None, typer.Option(help="Which device of it.")] = None,
    box: OldBox = None,
    image: Annotated[
        Path | None, typer.Option(help="Pi OS, .img or .img.xz, to write onto --card.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="A card in its reader, /dev/sdX. All on it is lost.")
    ] = None,
    really: Annotated[
        Path | None,
        typer.Option(help="The card once more: though it is mounted, fixed or the system's."),
    ] = None,
    boot: Annotated[
        Path | None,
        typer.Option(help="Boot partition of a card that Raspberry Pi Imager has written."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="USER@HOST", help="A device that runs, over ssh.")
    ] = None,
    ssh_config: Annotated[
        Path | None, typer.Option(help="For ssh, in the place of ~/.ssh/config.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, say what would be done, do nothing.")
    ] = False,
) -> None:
    """Set up a device, by its card or over ssh.

    A new card, one that Raspberry Pi Imager has written, or a device that runs.
    """
    name = _device_name(device, box)
    _check_one_way(image, card, really, boot, host)
    need_deploy()
    from deploy.flash import flash_words
    from deploy.flash.flash_job import FlashJob

    job = FlashJob.read(config, name, bundle)
    if image is not None and card is not None:
        flash_words.to_card(job, image, card, really=really, dry_run=dry_run)
    elif boot is not None:
        flash_words.to_boot(job, boot, dry_run=dry_run)
    elif host is not None:
        flash_words.to_host(job, host, ssh_config=ssh_config, dry_run=dry_run)


def _device_name(device: str | None, box: str | None) -> str:
    """Up to 0.4 the device was `--box`, and the card was `--device`."""
    refuse_old_box("flash", box)
    if device is None:
        raise UsageError("flash: expected --device NAME, which device of the site's file")
    if "/" in device:
        raise UsageError(
            f"flash: expected --device NAME, a device of the site's file, got --device {device}; "
            f"the card that is written to is --card {device}"
        )
    return device


def _check_one_way(
    image: Path | None,
    card: Path | None,
    really: Path | None,
    boot: Path | None,
    host: str | None,
) -> None:
    ways = [way for way in (image, boot, host) if way is not None]
    if len(ways) != 1 or (image is None) != (card is None) or (really and card is None):
        raise UsageError(
            "flash: expected one of --image IMG --card /dev/sdX, --boot FOLDER or --host USER@HOST"
        )
