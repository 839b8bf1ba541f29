"""`edge-reid gallery enroll`: photos of a person, or of many in a folder each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.options import (
    DEFAULT_GALLERY,
    BoxOption,
    DetectorOption,
    GalleryModelOption,
    GalleryOption,
    LargestOption,
)
from edge_reid.cli.output import count
from edge_reid.core.errors import UsageError

if TYPE_CHECKING:
    from edge_reid.enrolment.enrolment import PhotoOutcome


def enroll(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Who it is; or a folder with a folder per person."),
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PHOTO", help="Person crops or whole scenes, or folders of them."),
    ] = None,
    path: GalleryOption = DEFAULT_GALLERY,
    replace: Annotated[
        bool, typer.Option("--replace", help="Instead of all templates that they have.")
    ] = False,
    box: BoxOption = None,
    largest: LargestOption = False,
    model: GalleryModelOption = None,
    detector: DetectorOption = None,
) -> None:
    """Store a template per photo, all or none."""
    from edge_reid.cli.boxes_picture import numbers_drawn
    from edge_reid.cli.photo_pick import parse_pick
    from edge_reid.enrolment.enrolment import prepare_enrolment, store_enrolment
    from edge_reid.enrolment.photo_embedding import NO_PICK, PhotoEmbedder
    from edge_reid.gallery.gallery_model import model_of_gallery
    from edge_reid.gallery.store import GalleryStore

    people = _people(name, photos)
    everybodys = [photo for theirs in people.values() for photo in theirs]
    pick = parse_pick(box, everybodys, largest=largest)
    embedder = PhotoEmbedder(model or model_of_gallery(path), detector)
    with GalleryStore.open(path, model_id=embedder.manifest.model_id) as store:
        with numbers_drawn():
            enrolment = prepare_enrolment(
                people, embedder, store, pick=pick, replace=replace, on_photo=_print_outcome
            )
        store_enrolment(enrolment, store)
    chosen = "" if pick == NO_PICK else ", with whom you choose now"
    for identity, theirs in enrolment.enrolled.items():
        done = "now, in place of the earlier ones" if replace else "added"
        anew = (
            ""
            if theirs
            else f"; --replace takes these photos anew{chosen}, instead of all earlier ones"
        )
        typer.echo(f"{identity}: {count(theirs, 'template')} {done}{anew}")
    for conflict in enrolment.conflicts:
        typer.echo(f"warning: {conflict.message}", err=True)


def _print_outcome(outcome: PhotoOutcome) -> None:
    from edge_reid.cli.photo_pick import photo_line
    from edge_reid.enrolment.enrolment import EnrolledPhoto, SkipReason
    from edge_reid.enrolment.photo_embedding import EmbeddedPhoto

    if isinstance(outcome, EnrolledPhoto):
        if isinstance(outcome.photo, EmbeddedPhoto):
            typer.echo(photo_line(outcome.photo))
    elif outcome.reason is SkipReason.ENROLLED:
        typer.echo(f"{outcome.path}: skipped, enrolled as {outcome.identity} already")
    else:
        typer.echo(f"{outcome.path}: skipped, {outcome.reason.value}")


def _people(name: str, given: Sequence[Path] | None) -> Mapping[str, tuple[Path, ...]]:
    """Whose photos are which; what is skipped in folders is said."""
    from edge_reid.cli.photo_files import people_folders, photo_files, skipping
    from edge_reid.gallery.identity import identity_name

    if not given and not Path(name).is_dir():
        raise UsageError(
            f"enroll: expected photos of {name!r}, or a folder with a folder for each person, got "
            f"neither; edge-reid gallery enroll {name} PHOTO…"
        )
    folders = {name: given} if given else people_folders(Path(name))
    people = {identity_name(person): photo_files(paths) for person, paths in folders.items()}
    for files in people.values():
        for skipped in files.skipped:
            typer.echo(skipping(skipped))
    return {identity: files.photos for identity, files in people.items()}
