"""`edge-reid keys`: the key pairs that galleries and releases are signed with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_reid.core.errors import UsageError

keys = typer.Typer(
    help="Make the keys that galleries and releases are signed with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@keys.callback()
def _verbs_below() -> None:
    """Make typer expect `new`, though it is the only verb of the group."""


@keys.command("new")
def new(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for both files.")],
    purpose: Annotated[
        str, typer.Option("--for", help="gallery (whom devices know) or release (what they run).")
    ] = "gallery",
) -> None:
    """Make a key pair. The private key signs, every device pins the public one.

    Whoever has the private key decides whom the devices know, or what they run. Keep it away from
    devices and broker.
    """
    from edge_reid.signing.keys import SigningKey

    if purpose not in {"gallery", "release"}:
        raise UsageError(f"keys: expected --for gallery or --for release, got {purpose}; give one")
    key = SigningKey.generate()
    if purpose == "gallery":
        private, public = key.write(out)
        uses = "`edge-reid gallery publish --key`", "gallery_sync.public_key on every device"
    else:
        private, public = key.write(out, "release")
        uses = (
            "`edge-reid bundle --key` and `release publish`",
            "files.release_public_key of site.toml",
        )
    typer.echo(f"{private}: private key, for {uses[0]}")
    typer.echo(f"{public}: public key, for {uses[1]}")
    typer.echo(f"fingerprint {key.public.fingerprint}")
