"""`edge-reid gallery merge`: two names, one person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption, ModelOption

if TYPE_CHECKING:
    from edge_reid.core.manifest import EmbeddingManifest
    from edge_reid.core.types import Embedding, Template, Vectors


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
    from edge_reid.core.bundled_models import EMBEDDING, shipped_model
    from edge_reid.core.manifest import load_embedding_manifest

    manifest = None if yes else load_embedding_manifest(model or shipped_model(EMBEDDING))
    if strangers is not None:
        _merge_strangers(strangers, name, into, manifest)
    else:
        _merge(path, name, into, manifest)


def _merge(path: Path, name: str, into: str, manifest: EmbeddingManifest | None) -> None:
    from edge_reid.gallery.store import GalleryStore

    model_id = None if manifest is None else manifest.model_id
    with GalleryStore.open(path, model_id=model_id) as store:
        if manifest is not None:
            some, others = (_vectors(store.templates(each)) for each in (name, into))
            _ask_if_unlike(name, into, some, others, manifest)
        done = store.merge(name, into)
    doubled = f"; {done.doubled} of photos that it had already were deleted" if done.doubled else ""
    typer.echo(f"{path}: {done.moved} templates of {name} are {into}'s now{doubled}")


def _merge_strangers(path: Path, name: str, into: str, manifest: EmbeddingManifest | None) -> None:
    from edge_reid.core.errors import ModelMismatchError
    from edge_reid.strangers.stranger_store import StrangerStore

    with StrangerStore.open(path) as store:
        if manifest is not None:
            if manifest.model_id != store.model_id:
                raise ModelMismatchError(
                    f"strangers {path}: expected those of model {manifest.model_id}, got "
                    f"{store.model_id}; give its --model, or --yes to merge without a comparison"
                )
            some, others = (_vectors(store.looks(each)) for each in (name, into))
            _ask_if_unlike(name, into, some, others, manifest)
        store.merge(name, into)
    typer.echo(f"{path}: {name} is {into} from now on")


def _vectors(looks: Sequence[Template] | Sequence[Embedding]) -> Vectors | None:
    """(N, D); None when there is nothing to compare."""
    import numpy as np

    return np.stack([each.vector for each in looks]) if looks else None


def _ask_if_unlike(
    name: str,
    into: str,
    some: Vectors | None,
    others: Vectors | None,
    manifest: EmbeddingManifest,
) -> None:
    """Go on if the two may be one person, or whoever is asked says so.

    Raises:
        GalleryError: they say no, or nobody can be asked.
    """
    from edge_reid.core.errors import GalleryError
    from edge_reid.matching.mixture import group_similarity

    if some is None or others is None or not manifest.genuine_quantiles:
        return
    share, least = min(manifest.genuine_quantiles)
    similarity = group_similarity(some, others)
    if similarity >= least:
        return
    said = (
        f"{name} and {into} look like two people: similarity {similarity:.2f}, "
        f"{least - similarity:.2f} below the {least:.2f} that {1 - share:.0%} of the comparisons "
        "of one person reach"
    )
    if not sys.stdin.isatty():
        raise GalleryError(f"merge: {said}; nothing was merged, --yes merges them all the same")
    if not typer.confirm(f"{said}. This cannot be taken back. Merge them all the same?"):
        raise GalleryError("merge: nothing was merged")
