"""`edge-reid gallery restore`: disabled templates are used again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption, TemplateOption

if TYPE_CHECKING:
    from edge_reid.gallery.curation import DisabledTemplate


def restore(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="All of these people.")
    ] = None,
    template: TemplateOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever is disabled.")] = False,
    path: GalleryOption = DEFAULT_GALLERY,
) -> None:
    """Use templates again that the doctor disabled. Without a choice, list them."""
    from edge_reid.core.errors import GalleryError, UsageError
    from edge_reid.gallery.store import GalleryStore

    if everything and (names or template):
        raise UsageError("restore: expected --all alone, got names or templates beside it")
    with GalleryStore.open(path) as store:
        disabled = store.disabled()
        if not (names or template or everything):
            print_disabled(disabled)
            return
        wanted = _numbers(disabled) if everything else set(template or ())
        for name in names or ():
            theirs = _numbers(store.disabled(name))
            if not theirs:
                raise GalleryError(f"gallery {path}: nothing of {name!r} is disabled")
            wanted |= theirs
        if wanted:
            store.enable(sorted(wanted))
    typer.echo(f"{path}: {len(wanted)} template{'' if len(wanted) == 1 else 's'} in use again")


def print_disabled(disabled: tuple[DisabledTemplate, ...]) -> None:
    """What is disabled, since when and why; nothing when nothing is."""
    from datetime import datetime, timezone

    for template in disabled:
        since = datetime.fromtimestamp(template.disabled_utc_s, timezone.utc)
        typer.echo(
            f"template {template.template_id} of {template.identity}: "
            f"disabled {since:%Y-%m-%d %H:%M} UTC\n    {template.reason}"
        )
    if not disabled:
        typer.echo("nothing is disabled")


def _numbers(disabled: tuple[DisabledTemplate, ...]) -> set[int]:
    return {template.template_id for template in disabled}
