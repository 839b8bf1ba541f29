"""`edge-reid gallery merge`: two names, one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    name: Annotated[str, typer.Argument(metavar="NAME", help="This name goes.")],
    into: Annotated[str, typer.Argument(metavar="INTO", help="This one stays.")],
    path: Annotated[Path, typer.Option("--gallery", "-g", help="The gallery's file.")] = Path(
        "gallery.db"
    ),
    strangers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Two anonymous people of this file of a box instead."),
    ] = None,
) -> None:
    """Give all templates of one identity to another. This cannot be taken back."""
    if strangers is not None:
        _merge_strangers(strangers, name, into)
        return
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        done = store.merge(name, into)
    doubled = f"; {done.doubled} of photos that it had already were deleted" if done.doubled else ""
    typer.echo(f"{path}: {done.moved} templates of {name} are {into}'s now{doubled}")


def _merge_strangers(path: Path, name: str, into: str) -> None:
    from edge_reid.gallery.strangers import StrangerStore

    with StrangerStore.open(path) as store:
        store.merge(name, into)
    typer.echo(f"{path}: {name} is {into} from now on")
