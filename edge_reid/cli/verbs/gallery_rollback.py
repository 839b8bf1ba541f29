"""`edge-reid gallery rollback`: on a device, back to the version before."""

from __future__ import annotations

import typer

from edge_reid.cli.options import DEFAULT_GALLERY, GalleryOption


def rollback(
    path: GalleryOption = DEFAULT_GALLERY,
) -> None:
    """On a device: put the previous version in force again.

    The device then waits for a version that is newer than all it had. Whoever was erased since
    stays erased.
    """
    import time

    from edge_reid.core.errors import GalleryError
    from edge_reid.gallery.replica import Replica

    if not path.is_file():
        raise GalleryError(f"gallery {path}: no such file; is this a device that syncs?")
    with Replica.open(path) as replica:
        highest = replica.highest
        version = replica.roll_back(time.time())
    typer.echo(f"{path}: version {version} is in force; takes the next one above {highest}")
