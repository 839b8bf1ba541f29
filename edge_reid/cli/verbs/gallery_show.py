"""`edge-reid gallery list` and `show`: who is enrolled, and by which photos."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption, JsonArrayOption, JsonOption
from edge_reid.cli.output import count, print_json, print_table, when
from edge_reid.cli.verbs.gallery_restore import print_disabled
from edge_reid.core.errors import GalleryError

if TYPE_CHECKING:
    from edge_reid.core.types import Template
    from edge_reid.gallery.curation import DisabledTemplate


def list_(
    path: GalleryOption = DEFAULT_GALLERY,
    as_json: JsonArrayOption = False,
) -> None:
    """Show who is enrolled."""
    from edge_reid.core.manifest import model_in_words
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        people = store.identities()
        model_id, version = store.model_id, store.version
    if as_json:
        print_json([asdict(person) for person in people])
        return
    rows = [
        (
            person.identity,
            f"{person.templates}{f' + {person.disabled} disabled' if person.disabled else ''}",
            f"{person.mean_quality:.2f}",
            when(person.first_enrolled_utc_s),
            when(person.last_enrolled_utc_s),
        )
        for person in people
    ]
    print_table(("identity", "templates", "mean quality", "first enrolled", "last"), rows)
    typer.echo(
        f"{count(people, 'person', 'people')}, model {model_in_words(model_id)}, gallery version "
        f"{version}"
    )


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who.")],
    path: GalleryOption = DEFAULT_GALLERY,
    as_json: JsonOption = False,
) -> None:
    """Show the templates and photos of one person."""
    from edge_reid.gallery.store import GalleryStore

    with GalleryStore.open(path) as store:
        templates, disabled = store.templates(name), store.disabled(name)
    if not (templates or disabled):
        raise GalleryError(
            f"gallery {path}: nobody called {name!r} is enrolled; "
            "`edge-reid gallery list` shows who is"
        )
    identity = templates[0].identity if templates else disabled[0].identity
    if as_json:
        answer = {
            "identity": identity,
            "templates": [_as_json(template) for template in templates],
            "disabled": [_disabled_as_json(template) for template in disabled],
        }
        print_json(answer)
        return
    rows = [
        (
            str(each.template_id),
            f"{each.quality:.2f}",
            when(each.created_utc_s),
            each.photo_name or "–",
            each.source_sha256[:16],
            each.model_id,
        )
        for each in templates
    ]
    print_table(("template", "quality", "enrolled", "photo", "source sha256", "model"), rows)
    typer.echo(f"{identity}: {count(templates, 'template')} in use")
    if disabled:
        print_disabled(disabled)


def _as_json(template: Template) -> dict[str, Any]:
    return {
        "template_id": template.template_id,
        "photo_name": template.photo_name,
        "source_sha256": template.source_sha256,
        "quality": template.quality,
        "created_utc_s": template.created_utc_s,
        "model_id": template.model_id,
    }


def _disabled_as_json(template: DisabledTemplate) -> dict[str, Any]:
    fields = asdict(template)
    del fields["identity"]
    return fields
