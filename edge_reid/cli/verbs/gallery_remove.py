"""`edge-reid gallery remove` and `rename`: forget people or single templates, or call them else."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption, TemplateOption
from edge_reid.cli.output import count


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who.")],
    path: GalleryOption = DEFAULT_GALLERY,
    template: TemplateOption = None,
) -> None:
    """Remove a person, or some templates. Nothing of them stays in the file."""
    from edge_reid.gallery.store import GalleryStore

    chosen = set(template or ())
    with GalleryStore.open(path) as store:
        if chosen:
            is_left = store.remove_templates(name, chosen)
            gone = count(chosen, "template")
        else:
            number = store.remove(name)
            gone, is_left = f"{number} template{'' if number == 1 else 's'}", True
    typer.echo(f"{name}: {gone} removed, and overwritten in the file")
    if not is_left:
        typer.echo(f"{name} had no other and is enrolled no more")


def rename(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What they are called from now on.")],
    path: GalleryOption = DEFAULT_GALLERY,
    template: TemplateOption = None,
) -> None:
    """Give a person, or some templates, another name.

    With --template NEW may be enrolled already: a misfiled photo goes to whom it shows.
    """
    from edge_reid.gallery.store import GalleryStore

    chosen = set(template or ())
    with GalleryStore.open(path) as store:
        if not chosen:
            store.rename(name, new)
            typer.echo(f"{path}: {name} is {new} from now on")
            return
        done = store.move(name, new, chosen)
    doubled = f"; {done.doubled} of photos that {new} had already" if done.doubled else ""
    moved = f"{done.moved} template{'' if done.moved == 1 else 's'}"
    typer.echo(f"{path}: {moved} of {name} given to {new}{doubled}")
