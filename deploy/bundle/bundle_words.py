"""What `edge-reid bundle` does, from the words of its command line."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, get_args

from deploy.bundle.bundle import BundleRequest, make_bundle
from deploy.bundle.wheelhouse import default_folder
from deploy.site.site import Site, load_site
from deploy.site.targets import TARGETS, RuntimeChoice, Target
from edge_reid.core.errors import UsageError
from edge_reid.core.files import check_replaceable
from edge_reid.core.progress import StageProgress
from edge_reid.release.bundle_manifest import BundleManifest, check_version
from edge_reid.signing.keys import read_signing_key

_ZSTD = b"\x28\xb5\x2f\xfd"
"""What a bundle begins with."""


def make(
    config: Path,
    out: Path,
    progress: StageProgress,
    *,
    target: str | None,
    device: str | None,
    runtime: str,
    key: Path | None,
    wheel: Path | None,
    lock: Path | None,
    cache: Path | None,
    version: str | None,
) -> BundleManifest:
    """Make the bundle that the words ask for; raises as `make_bundle` does."""
    check_replaceable(out, f"bundle {out}", "an older bundle", _is_bundle)
    site = load_site(config, needs_files_of=device)
    request = BundleRequest(
        site=site,
        target=_target(site, target, device),
        out=out,
        lock=lock or out.with_name(f"{out.name}.lock"),
        device=device,
        runtime=_runtime(runtime),
        key=read_signing_key(key, "release") if key else None,
        wheel=wheel,
        cache=cache or default_folder(),
        version=check_version(version) if version else None,
    )
    return make_bundle(request, progress)


def _is_bundle(file: BinaryIO) -> bool:
    return file.read(len(_ZSTD)) == _ZSTD


def _target(site: Site, name: str | None, device: str | None) -> Target:
    if name is None:
        return TARGETS[site.target_of(device) if device else site.target]
    for known, target in TARGETS.items():
        if known == name:
            return target
    raise UsageError(f"target {name}: expected one of {', '.join(TARGETS)}")


def _runtime(name: str) -> RuntimeChoice:
    for known in get_args(RuntimeChoice):
        if known == name:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"runtime {name}: expected {' or '.join(get_args(RuntimeChoice))}")
