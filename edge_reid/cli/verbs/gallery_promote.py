"""`edge-reid gallery promote`: an unknown person of a device gets a name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import (
    DEFAULT_GALLERY,
    DEFAULT_STRANGERS,
    AnyGalleryOption,
    StrangersOption,
)


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
    from edge_reid.enrolment.promotion import export_stranger
    from edge_reid.enrolment.promotion import promote as promote_stranger
    from edge_reid.strangers.stranger_store import StrangerStore

    if path is not None and export is not None:
        raise UsageError("promote: expected --gallery or --export, got both; give one")
    with StrangerStore.open(strangers) as store:
        if export is not None:
            written = export_stranger(store, stranger, name, export)
            typer.echo(f"{export}: {stranger} as {name}, {written} templates")
            return
        added = promote_stranger(store, stranger, name, path or DEFAULT_GALLERY)
    typer.echo(f"{name}: {added} templates of {stranger} added")
