"""`edge-reid gallery`: who is enrolled."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.gallery_doctor import doctor
from edge_reid.cli.gallery_merge import merge
from edge_reid.cli.gallery_promote import promote
from edge_reid.cli.gallery_publish import publish
from edge_reid.cli.gallery_restore import print_asides, restore
from edge_reid.cli.gallery_rollback import rollback
from edge_reid.cli.gallery_status import status
from edge_reid.cli.gallery_strangers import strangers
from edge_reid.core.errors import GalleryError, UsageError

gallery = typer.Typer(
    help="Enroll, list and remove people; publish them to the boxes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

GalleryOption = Annotated[Path, typer.Option("--gallery", "-g", help="The gallery's file.")]
ModelOption = Annotated[
    Path | None, typer.Option(help="Embedding model. [default: the shipped one]")
]
DetectorOption = Annotated[
    Path | None, typer.Option(help="Person detector. [default: the shipped one]")
]
BoxOption = Annotated[
    str | None, typer.Option(help="Where the person is in the photo: x1,y1,x2,y2 in pixels.")
]
LargestOption = Annotated[
    bool, typer.Option("--largest", help="Of several people take the most prominent.")
]
DEFAULT_GALLERY = Path("gallery.db")


@gallery.command("init")
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to make.")],
    model: ModelOption = None,
) -> None:
    """Make an empty gallery for one embedding model."""
    from edge_reid.core.manifest import load_embedding_manifest
    from edge_reid.core.shipped import EMBEDDING, shipped_model
    from edge_reid.gallery.store import GalleryStore

    manifest = load_embedding_manifest(model or shipped_model(EMBEDDING))
    GalleryStore.create(path, manifest.model_id, manifest.dimension).close()
    typer.echo(f"{path}: an empty gallery for model {manifest.name} ({manifest.model_id})")


@gallery.command("enroll")
def enroll(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is.")],
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO", help="Person crops or whole scenes.")
    ],
    path: GalleryOption = DEFAULT_GALLERY,
    box: BoxOption = None,
    largest: LargestOption = False,
    model: ModelOption = None,
    detector: DetectorOption = None,
) -> None:
    """Store a template per photo, all or none."""
    from edge_reid.cli.enrolment import portray, warnings_of
    from edge_reid.cli.photos import Studio, parse_pick
    from edge_reid.gallery.identity import identity_name
    from edge_reid.gallery.store import GalleryStore

    pick = parse_pick(box, largest=largest)
    if pick.box is not None and len(photos) > 1:
        raise UsageError(f"--box belongs to one photo, got {len(photos)}; enroll them one by one")
    identity = identity_name(name)
    studio = Studio(model, detector)
    with GalleryStore.open(path, model_id=studio.manifest.model_id) as store:
        enrolled = portray(identity, photos, pick, studio, store)
        warnings = warnings_of(enrolled, studio, store)
        if enrolled:
            store.add_all(list(enrolled.values()))
    typer.echo(f"{identity}: {_count(enrolled, 'template')} added")
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


@gallery.command("list")
def list_(
    path: GalleryOption = DEFAULT_GALLERY,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Show who is enrolled."""
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        people = store.identities()
        model_id, version = store.model_id, store.version
    if as_json:
        typer.echo(json.dumps([asdict(person) for person in people], ensure_ascii=False, indent=2))
        return
    rows = [
        (
            person.identity,
            f"{person.templates}{f' + {person.set_aside} set aside' if person.set_aside else ''}",
            f"{person.mean_quality:.2f}",
            _when(person.first_enrolled_utc_s),
            _when(person.last_enrolled_utc_s),
        )
        for person in people
    ]
    _print_table(("identity", "templates", "mean quality", "first enrolled", "last"), rows)
    typer.echo(f"{_count(people, 'person', 'people')}, model {model_id}, gallery version {version}")


@gallery.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who.")],
    path: GalleryOption = DEFAULT_GALLERY,
) -> None:
    """Show the templates of one person."""
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        templates, asides = store.templates(name), store.asides(name)
    if not (templates or asides):
        raise GalleryError(
            f"gallery {path}: nobody called {name!r} is enrolled; "
            "`edge-reid gallery list` shows who is"
        )
    rows = [
        (
            str(each.template_id),
            f"{each.quality:.2f}",
            _when(each.created_utc_s),
            each.source_sha256[:16],
            each.model_id,
        )
        for each in templates
    ]
    _print_table(("template", "quality", "enrolled", "source sha256", "model"), rows)
    identity = templates[0].identity if templates else asides[0].identity
    typer.echo(f"{identity}: {_count(templates, 'template')} in use")
    if asides:
        print_asides(asides)


@gallery.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who.")],
    path: GalleryOption = DEFAULT_GALLERY,
) -> None:
    """Forget one person: nothing of them stays in the file."""
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        count = store.remove(name)
    typer.echo(
        f"{name}: {count} template{'' if count == 1 else 's'} removed, and overwritten in the file"
    )


@gallery.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON-lines file to write.")],
    path: GalleryOption = DEFAULT_GALLERY,
) -> None:
    """Write all templates in use, never photos, to a file."""
    from edge_reid.gallery.portable import write_portable
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        templates, asides = store.templates(), store.asides()
        write_portable(file, templates, store.model_id, store.dimension)
    left_out = f", without {len(asides)} that are set aside" if asides else ""
    typer.echo(f"{file}: {_count(templates, 'template')}{left_out}")


@gallery.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `gallery export` wrote.")],
    path: GalleryOption = DEFAULT_GALLERY,
    skip_known: Annotated[
        bool, typer.Option("--skip-known", help="Leave out what is enrolled already.")
    ] = False,
) -> None:
    """Add the templates of such a file, all or none."""
    from edge_reid.gallery.portable import read_portable
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        templates = read_portable(file, store.model_id, store.dimension)
        new = [each for each in templates if each.source_sha256 not in store.sources(each.identity)]
        if len(new) < len(templates) and not skip_known:
            raise GalleryError(
                f"import {file}: {len(templates) - len(new)} of {len(templates)} templates are "
                "enrolled already, nothing was imported; --skip-known imports the others"
            )
        if new:
            store.add_all(new)
    typer.echo(f"{path}: {_count(new, 'template')} added")


gallery.command("doctor")(doctor)
gallery.command("restore")(restore)
gallery.command("merge")(merge)
gallery.command("strangers")(strangers)
gallery.command("promote")(promote)
gallery.command("publish")(publish)
gallery.command("status")(status)
gallery.command("rollback")(rollback)


def _when(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _count(things: Collection[object], one: str, many: str | None = None) -> str:
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"


def _print_table(titles: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title)
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
