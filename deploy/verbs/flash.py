"""`edge-reid flash`: from an empty card, or a box in the field, to one that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.verbs.needs import need_deploy
from edge_reid.core.errors import UsageError


def flash(
    config: Annotated[Path, typer.Option(help="The site's file, site.toml.")],
    box: Annotated[str, typer.Option(help="Which box of it.")],
    bundle: Annotated[Path, typer.Option(help="Made for this box by `edge-reid bundle`.")],
    image: Annotated[
        Path | None, typer.Option(help="Pi OS, .img or .img.xz, to write onto --device.")
    ] = None,
    device: Annotated[
        Path | None, typer.Option(help="A card in its reader, /dev/sdX. All on it is lost.")
    ] = None,
    really: Annotated[
        Path | None,
        typer.Option(help="The device once more: though it is mounted, fixed or the system's."),
    ] = None,
    boot: Annotated[
        Path | None,
        typer.Option(help="Boot partition of a card that Raspberry Pi Imager has written."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="USER@HOST", help="A box that runs, over ssh.")
    ] = None,
    ssh_config: Annotated[
        Path | None, typer.Option(help="For ssh, in the place of ~/.ssh/config.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, say what would be done, do nothing.")
    ] = False,
) -> None:
    """Set up a camera box: by a new card, a card from Raspberry Pi Imager, or over ssh."""
    _check_one_way(image, device, really, boot, host)
    need_deploy()
    from deploy.flash import flash_words
    from deploy.flash.flash_job import Order

    order = Order.read(config, box, bundle)
    if image is not None and device is not None:
        flash_words.to_card(order, image, device, really=really, dry_run=dry_run)
    elif boot is not None:
        flash_words.to_boot(order, boot, dry_run=dry_run)
    elif host is not None:
        flash_words.to_host(order, host, ssh_config=ssh_config, dry_run=dry_run)


def _check_one_way(
    image: Path | None,
    device: Path | None,
    really: Path | None,
    boot: Path | None,
    host: str | None,
) -> None:
    ways = [way for way in (image, boot, host) if way is not None]
    if len(ways) != 1 or (image is None) != (device is None) or (really and device is None):
        raise UsageError(
            "flash: expected one of --image IMG --device /dev/sdX, --boot FOLDER "
            "or --host USER@HOST"
        )
