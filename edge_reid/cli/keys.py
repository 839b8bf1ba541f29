"""`edge-reid keys`: the key pair that galleries are signed with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

keys = typer.Typer(
    help="Make the keys that galleries are signed with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@keys.callback()
def _verbs_below() -> None:
    """Keep `new` a word of its own while it is the only one."""


@keys.command("new")
def new(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for both files.")],
) -> None:
    """Make a key pair: the private key publishes, every box pins the public one.

    Whoever has the private key decides whom the boxes know. Keep it off the boxes and the broker.
    """
    from edge_reid.gallery.keys import SigningKey

    key = SigningKey.generate()
    private, public = key.write(out)
    typer.echo(f"{private}: private key, for `edge-reid gallery publish --key`")
    typer.echo(f"{public}: public key, for gallery_sync.public_key on every box")
    typer.echo(f"fingerprint {key.public.fingerprint}")
