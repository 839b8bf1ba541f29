"""`edge-reid bundle`: everything a device needs, in one signed file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.verbs.needs import need_deploy
from deploy.verbs.old_words import OldBox, refuse_old_box
from edge_reid.cli.options import SignerOption
from edge_reid.core.errors import UsageError

if TYPE_CHECKING:
    from edge_reid.release.bundle_manifest import BundleManifest

bundle = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@bundle.callback(invoke_without_command=True)
def make(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="The site's file, site.toml.")] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle, such as gate-1.tar.zst.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="pi-bookworm, pi-trixie, jetson-jp6 or debian-x86. [default: the site file has it]"
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Only for this device, with its secrets. [default: all, without secrets]"
        ),
    ] = None,
    box: OldBox = None,
    key: Annotated[
        Path | None, typer.Option(help="Private key to sign with. [default: unsigned]")
    ] = None,
    runtime: Annotated[str, typer.Option(help="litert or tflite-runtime.")] = "litert",
    release: Annotated[
        str | None, typer.Option(help="What to call it. [default: the version of edge-reid]")
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(help="edge-reid's own wheel. [default: built from the checkout]")
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(help="Which wheels; written if it is not there. [default: OUT.lock]"),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of fetched wheels. [default: ~/.cache/edge-reid]")
    ] = None,
) -> None:
    """Make a bundle. Everything that a device needs, in one signed file.

    Wheels, models, configuration, units and installer, with manifest and SBOM.

    The same lock file and inputs give the same bytes, and need no network the second time.
    """
    if context.invoked_subcommand:
        return
    refuse_old_box("bundle", box)
    if config is None or out is None:
        raise UsageError("bundle: expected --config site.toml and --out gate-1.tar.zst")
    need_deploy()
    from deploy.bundle import bundle_words
    from edge_reid.cli.verb_progress import stages

    with stages() as progress:
        manifest = bundle_words.make(
            config,
            out,
            progress,
            target=target,
            device=device,
            runtime=runtime,
            version=release,
            key=key,
            wheel=wheel,
            lock=lock,
            cache=cache,
        )
    typer.echo(f"{out}: {_described(manifest)}, {out.stat().st_size / 1e6:.1f} MB")
    if key is None:
        typer.echo(
            "it is not signed; where the site has a files.release_public_key, flash takes only "
            "what --key signed",
            err=True,
        )


@bundle.command("verify")
def verify(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The file.")],
    public_key: SignerOption = None,
) -> None:
    """Check that a bundle is whole, and signed by a key."""
    need_deploy()
    from edge_reid.cli.verb_progress import stages
    from edge_reid.core.progress import of_stage
    from edge_reid.release.bundle_file import verify as verified
    from edge_reid.signing.keys import read_public_key

    key = read_public_key(public_key) if public_key else None
    with stages() as progress:
        manifest = verified(path, key, of_stage("reading", progress))
    signed = f"signed by {key.key_id}" if key else "signature not looked at"
    typer.echo(f"{path}: whole, {signed}: {_described(manifest)}")


@bundle.command("unpack")
def unpack(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make, such as gate-1.")],
    public_key: SignerOption = None,
) -> None:
    """Check a bundle as `verify` does, and unpack it.

    To install by hand: copy the folder to the device, and in it `sudo python3 install/install.py`.
    """
    need_deploy()
    from edge_reid.cli.verb_progress import stages
    from edge_reid.core.progress import of_stage
    from edge_reid.release.bundle_unpack import unpack as unpacked
    from edge_reid.signing.keys import read_public_key

    key = read_public_key(public_key) if public_key else None
    with stages() as progress:
        manifest = unpacked(path, out, key, of_stage("unpacking", progress))
    signed = f"signed by {key.key_id}" if key else "signature not looked at"
    typer.echo(f"{out}: whole, {signed}: {_described(manifest)}")


def _described(manifest: BundleManifest) -> str:
    whose = f"device {manifest.device}" if manifest.device else "all devices"
    return (
        f"release {manifest.version} for {whose} of {manifest.site}, {manifest.target} "
        f"(Python {manifest.python}, {manifest.machine}), {len(manifest.files)} files, "
        f"{_model_in_force(manifest)}"
    )


def _model_in_force(manifest: BundleManifest) -> str:
    """What a device runs: where its site names no embedding model, that of its gallery."""
    from edge_reid.core.bundled_models import DEFAULT_EMBEDDINGS
    from edge_reid.core.manifest import model_in_words, shipped_name

    name, words = shipped_name(manifest.model_id), model_in_words(manifest.model_id)
    is_named = f"{name}.tflite" not in DEFAULT_EMBEDDINGS or manifest.has_model(str(name))
    if is_named:
        return f"embedding model {words}"
    if manifest.has_gallery:
        return f"embedding model {words}, that of its first gallery, as the site names none"
    return f"embedding model that of its gallery, as the site names none; before the first, {words}"
