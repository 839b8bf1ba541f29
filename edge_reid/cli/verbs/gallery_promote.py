"""`edge-reid gallery promote`: an unknown person of a device gets a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import (
    DEFAULT_GALLERY,
    DEFAULT_STRANGERS,
    AnyGalleryOption,
    StrangersOption,
)

if TYPE_CHECKING:
    from edge_reid.core.types import Template


def promote(
    stranger: Annotated[str, typer.Argument(metavar="ANON", help="As `gallery strangers` shows.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is.")],
    strangers: StrangersOption = DEFAULT_STRANGERS,
    path: AnyGalleryOption = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead, for a device that syncs: a file for `gallery import`."
        ),
    ] = None,
) -> None:
    """Enroll a stranger, by the best views that are kept.

    Once enrolled they are no stranger any more; after --export they stay one until they are due.
    """
    from edge_reid.core.errors import UsageError
    from edge_reid.gallery.export_file import write_portable
    from edge_reid.gallery.identity import identity_name
    from edge_reid.strangers.stranger import templates_of
    from edge_reid.strangers.stranger_store import StrangerStore

    if path is not None and export is not None:
        raise UsageError("promote: expected --gallery or --export, got both; give one")
    with StrangerStore.open(strangers) as store:
        seen_utc_s = store.find(stranger).last_seen_utc_s
        templates = templates_of(store.looks(stranger), identity_name(name), seen_utc_s)
        if export is not None:
            write_portable(export, templates, store.model_id, store.dimension)
            typer.echo(f"{export}: {stranger} as {name}, {len(templates)} templates")
            return
        added = _enroll(templates, path or DEFAULT_GALLERY, store.model_id)
        store.forget(stranger)
    typer.echo(f"{name}: {added} templates of {stranger} added")


def _enroll(templates: tuple[Template, ...], path: Path, model_id: str) -> int:
    """Add what is not there yet: it may have been interrupted before."""
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path, model_id=model_id) as gallery:
        known = gallery.sources(templates[0].identity)
        new = [each for each in templates if each.source_sha256 not in known]
        if new:
            gallery.add_all(new)
    return len(new)
