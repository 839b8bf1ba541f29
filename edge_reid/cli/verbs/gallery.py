"""`edge-reid gallery`: who is enrolled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption, ModelOption
from edge_reid.cli.output import count
from edge_reid.cli.verbs.gallery_doctor import doctor
from edge_reid.cli.verbs.gallery_enroll import enroll
from edge_reid.cli.verbs.gallery_merge import merge
from edge_reid.cli.verbs.gallery_promote import promote
from edge_reid.cli.verbs.gallery_publish import publish
from edge_reid.cli.verbs.gallery_remove import remove, rename
from edge_reid.cli.verbs.gallery_restore import restore
from edge_reid.cli.verbs.gallery_rollback import rollback
from edge_reid.cli.verbs.gallery_show import list_, show
from edge_reid.cli.verbs.gallery_status import status
from edge_reid.cli.verbs.gallery_strangers import strangers
from edge_reid.core.errors import GalleryError

gallery = typer.Typer(
    help="Enroll, list and remove people; publish them to the devices.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@gallery.command("init")
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to make.")],
    model: ModelOption = None,
) -> None:
    """Make an empty gallery for one embedding model."""
    from edge_reid.core.bundled_models import default_model
    from edge_reid.core.manifest import load_embedding_manifest
    from edge_reid.gallery.store import GalleryStore

    manifest = load_embedding_manifest(model or default_model("embedding"))
    GalleryStore.create(path, manifest.model_id, manifest.dimension).close()
    typer.echo(
        f"{path}: an empty gallery for model {manifest.name} ({manifest.model_id}; "
        f"terms: {manifest.licence})"
    )


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON-lines file to write.")],
    path: GalleryOption = DEFAULT_GALLERY,
) -> None:
    """Write all templates in use, and no photos, to a file.

    It takes the place of an older export or an empty file, of no other.
    """
    from edge_reid.gallery.export_file import write_portable
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        templates, disabled = store.templates(), store.disabled()
        write_portable(file, templates, store.model_id, store.dimension)
    left_out = f", without {len(disabled)} that are disabled" if disabled else ""
    typer.echo(f"{file}: {count(templates, 'template')}{left_out}")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `gallery export` wrote.")],
    path: GalleryOption = DEFAULT_GALLERY,
    skip_known: Annotated[
        bool, typer.Option("--skip-known", help="Leave out what is enrolled already.")
    ] = False,
) -> None:
    """Add the templates of such a file, all or none."""
    from edge_reid.gallery.export_file import read_portable
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        templates = read_portable(file, store.model_id, store.dimension)
        new = [
            template
            for template in templates
            if template.source_sha256 not in store.sources(template.identity)
        ]
        if len(new) < len(templates) and not skip_known:
            raise GalleryError(
                f"import {file}: expected new templates, got {len(templates) - len(new)} of "
                f"{len(templates)} that are enrolled already, nothing was imported; --skip-known "
                "imports the others"
            )
        if new:
            store.add_all(new)
    typer.echo(f"{path}: {count(new, 'template')} added")


gallery.command("enroll")(enroll)
gallery.command("list")(list_)
gallery.command("show")(show)
gallery.command("remove")(remove)
gallery.command("rename")(rename)
gallery.command("doctor")(doctor)
gallery.command("restore")(restore)
gallery.command("merge")(merge)
gallery.command("strangers")(strangers)
gallery.command("promote")(promote)
gallery.command("export")(export)
gallery.command("import")(import_)
gallery.command("publish")(publish)
gallery.command("status")(status)
gallery.command("rollback")(rollback)
