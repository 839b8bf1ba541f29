"""`edge-reid gallery publish`: the gallery goes out to the devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_reid.cli.broker_options import BrokerLogin, takes_login, topic_name
from edge_reid.cli.options import (
    DEFAULT_GALLERY,
    GalleryOption,
    PublisherKeyOption,
    SiteOption,
)

if TYPE_CHECKING:
    from edge_reid.gallery.publication import PublishedGallery
    from edge_reid.mqtt.broker import Broker
    from edge_reid.signing.transport import PublicationTarget


@takes_login(url=None)
def publish(
    site: SiteOption,
    key: PublisherKeyOption,
    path: GalleryOption = DEFAULT_GALLERY,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Into a folder instead: of a web server, or on a stick."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send everything, also what should be there.")
    ] = False,
    supersede: Annotated[
        bool,
        typer.Option("--supersede", help="Number it above a newer version that is published."),
    ] = False,
    *,
    login: BrokerLogin,
) -> None:
    """Sign the gallery and publish it. Templates, no photos, and who was removed."""
    from edge_reid.cli.verb_progress import counting
    from edge_reid.core.errors import UsageError
    from edge_reid.gallery.publication import publish as publish_gallery
    from edge_reid.gallery.store import GalleryStore
    from edge_reid.signing.keys import read_signing_key

    if (login.url is None) == (to is None):
        raise UsageError("publish: expected --broker URL or --to DIR, one of them")
    topic_name("--site", site)
    signing_key = read_signing_key(key, "gallery")
    where = to or login.broker()
    with (
        GalleryStore.open(path) as store,
        _opened_target(where, login.root, site) as target,
        counting("publishing") as progress,
    ):
        done = publish_gallery(
            store,
            target,
            signing_key,
            site=site,
            again=again,
            supersede=supersede,
            progress=progress,
        )
    _report(done, str(where))


@contextmanager
def _opened_target(where: Broker | Path, root: str, site: str) -> Iterator[PublicationTarget]:
    from edge_reid.mqtt.broker import Broker
    from edge_reid.transfer.folder import FolderTarget
    from edge_reid.transfer.gallery_transfer import GALLERY, gallery_at_broker

    if isinstance(where, Broker):
        with gallery_at_broker(where, root, site) as target:
            yield target
    else:
        yield FolderTarget(where, GALLERY)


def _report(done: PublishedGallery, where: str) -> None:
    head = done.head
    if done.foreign:
        typer.echo("warning: the head there was not signed by this key; it is replaced", err=True)
    typer.echo(
        f"{where}: version {head.version} for site {head.site}, {head.identities} identities with "
        f"{head.templates} templates, key {head.key_id}"
    )
    typer.echo(
        f"sent {done.sent} of {head.blobs} blobs, {done.sent_bytes / 1024:.1f} KB; "
        f"cleared {done.cleared}"
    )
