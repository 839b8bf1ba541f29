"""`edge-reid gallery merge`: two names, one person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption, ModelOption

if TYPE_CHECKING:
    from edge_reid.core.manifest import EmbeddingManifest
    from edge_reid.enrolment.same_person import Likeness


def merge(
    name: Annotated[str, typer.Argument(metavar="NAME", help="This name goes.")],
    into: Annotated[str, typer.Argument(metavar="INTO", help="This one stays.")],
    path: GalleryOption = DEFAULT_GALLERY,
    strangers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Two anonymous people of this file of a device instead."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not compare the two, and do not ask.")
    ] = False,
    model: ModelOption = None,
) -> None:
    """Give all templates of one identity to another. This cannot be taken back.

    If they look like two people, it asks.
    """
    from edge_reid.core.bundled_models import default_model
    from edge_reid.core.manifest import load_embedding_manifest

    manifest = None if yes else load_embedding_manifest(model or default_model("embedding"))
    if strangers is not None:
        _merge_strangers(strangers, name, into, manifest)
    else:
        _merge(path, name, into, manifest)


def _merge(path: Path, name: str, into: str, manifest: EmbeddingManifest | None) -> None:
    from edge_reid.enrolment.same_person import compare_identities
    from edge_reid.gallery.store import GalleryStore

    model_id = None if manifest is None else manifest.model_id
    with GalleryStore.open(path, model_id=model_id) as store:
        if manifest is not None:
            _ask_about(compare_identities(store, name, into, manifest))
        done = store.merge(name, into)
    doubled = f"; {done.doubled} of photos that it had already were deleted" if done.doubled else ""
    typer.echo(f"{path}: {done.moved} templates of {name} are {into}'s now{doubled}")


def _merge_strangers(path: Path, name: str, into: str, manifest: EmbeddingManifest | None) -> None:
    from edge_reid.enrolment.same_person import compare_strangers
    from edge_reid.strangers.stranger_store import StrangerStore

    with StrangerStore.open(path) as store:
        if manifest is not None:
            _ask_about(compare_strangers(store, name, into, manifest))
        store.merge(name, into)
    typer.echo(f"{path}: {name} is {into} from now on")


def _ask_about(likeness: Likeness | None) -> None:
    """Go on if the two may be one person, or whoever is asked says so.

    Raises:
        GalleryError: they say no, or nobody can be asked.
    """
    from edge_reid.core.errors import GalleryError

    if likeness is None or not likeness.is_of_two:
        return
    if not sys.stdin.isatty():
        raise GalleryError(
            f"merge: {likeness.message}; nothing was merged, --yes merges them all the same"
        )
    question = f"{likeness.message}. This cannot be taken back. Merge them all the same?"
    if not typer.confirm(question):
        raise GalleryError("merge: nothing was merged")
