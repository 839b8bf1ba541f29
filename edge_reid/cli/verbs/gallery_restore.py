"""`edge-reid gallery restore`: templates that were set aside are used again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption, TemplateOption

if TYPE_CHECKING:
    from edge_reid.gallery.curation import Aside


def restore(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="All of these people.")
    ] = None,
    template: TemplateOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever is set aside.")] = False,
    path: GalleryOption = DEFAULT_GALLERY,
) -> None:
    """Use templates again that the doctor set aside. Without a choice, list them."""
    from edge_reid.core.errors import GalleryError
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        asides = store.asides()
        if not (names or template or everything):
            print_asides(asides)
            return
        wanted = {aside.template_id for aside in asides} if everything else set(template or ())
        for name in names or ():
            theirs = {aside.template_id for aside in store.asides(name)}
            if not theirs:
                raise GalleryError(f"gallery {path}: nothing of {name!r} is set aside")
            wanted |= theirs
        if wanted:
            store.restore(sorted(wanted))
    typer.echo(f"{path}: {len(wanted)} template{'' if len(wanted) == 1 else 's'} in use again")


def print_asides(asides: tuple[Aside, ...]) -> None:
    """What is set aside, since when and why; nothing when nothing is."""
    from datetime import datetime, timezone

    for each in asides:
        since = datetime.fromtimestamp(each.set_aside_utc_s, timezone.utc)
        typer.echo(
            f"template {each.template_id} of {each.identity}: set aside {since:%Y-%m-%d %H:%M} UTC"
            f"\n    {each.reason}"
        )
    if not asides:
        typer.echo("nothing is set aside")
