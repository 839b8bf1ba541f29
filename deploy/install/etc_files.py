"""What of a bundle goes into /etc: configuration, secrets, units; and what of the device stays."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import delivered_certificates
import removed_files
from device_paths import Account, DevicePaths, agent_unit
from install_progress import Steps
from journal import Change, put
from new_release_doctor import candidate_of
from services import FOLLOWERS
from unpacked_bundle import UnpackedBundle

PUBLIC_SUFFIXES = (".crt", ".pub")
"""Certificates and public keys; everything else among the secrets is for its owner's eyes only."""
FIRST_GALLERY = "gallery/gallery.db"


def changes(
    bundle: UnpackedBundle, release: Path, device: DevicePaths, account: Account, steps: Steps
) -> list[Change]:
    """All that an upgrade changes outside its release; what is so already is left out.

    The last one is `current`.
    """
    brought = [
        *_configs(bundle, release, device, account, steps),
        *_secrets_and_units(bundle, device, account),
        *delivered_certificates.changes(bundle, device, account, steps),
    ]
    wanted = [
        *([Change(device.name_file, f"{bundle.device}\n".encode())] if bundle.device else []),
        *brought,
        *_copies_of_configs(bundle, release, device),
        *removed_files.changes(bundle, release, device, brought, steps),
        *_manifest(bundle, release, account),
        Change(device.command, link=str(device.current / "bin/edge-reid")),
    ]
    current = Change(device.current, link=f"releases/{bundle.version}")
    return [*(change for change in wanted if not _is_so(change)), current]


def _manifest(bundle: UnpackedBundle, release: Path, account: Account) -> Iterator[Change]:
    """The hash of a password is enough to guess at it: the manifest is not for everybody. Its own
    hash is, by which `flash --host` knows what is installed.
    """
    body = bundle.manifest.read_bytes()
    yield Change(release / bundle.manifest.name, body, mode=0o640, owner=(0, account.gid))
    digest = hashlib.sha256(body).hexdigest()
    yield Change(release / f"{bundle.manifest.stem}.sha256", f"{digest}\n".encode())


def traces(bundle: UnpackedBundle, device: DevicePaths) -> list[Change]:
    """What a doctor who is cut off may leave: not to be put, but to be taken back."""
    names = {*device.agents, *(config.stem for config in bundle.configs(device.name))}
    return [Change(candidate_of(device.config / f"{name}.toml")) for name in sorted(names)]


def switches(bundle: UnpackedBundle, device: DevicePaths) -> list[Change]:
    """Links that switching on may make, or break: not to be put, but to be taken back."""
    agents = (device.wants / agent_unit(config.stem) for config in bundle.configs(device.name))
    new = (link for link in agents if not link.is_symlink())
    return [Change(link) for link in (*new, *(device.wants / name for name in FOLLOWERS))]


def make_folders(device: DevicePaths, account: Account) -> None:
    """Those that only the agents and root may look into."""
    for folder, mode in ((device.config, 0o755), (device.secrets, 0o750), (device.state, 0o750)):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
    account.owns(device.state)
    account.shares(device.secrets)


def mend(bundle: UnpackedBundle, device: DevicePaths, account: Account, steps: Steps) -> None:
    """Where what a bundle brought has another mode or owner by now, it gets its own again."""
    make_folders(device, account)
    configs = (
        _config(config, device.config / config.name, account)
        for config in bundle.configs(device.name)
    )
    for change in (*configs, *_secrets_and_units(bundle, device, account)):
        if _has_content(change) and not _has_owner(change):
            put(change)
            steps.say(f"{change.path}: had another mode or owner, and has its own again")


def put_first_gallery(
    bundle: UnpackedBundle, device: DevicePaths, account: Account, *, without: frozenset[Path]
) -> None:
    """Only where there is none: who is enrolled on the device stays enrolled.

    Args:
        bundle: whose gallery it is.
        device: that gets it.
        account: that it is to belong to.
        without: galleries that come from elsewhere.
    """
    gallery = bundle.folder / FIRST_GALLERY
    for config in bundle.configs(device.name) if gallery.exists() else ():
        copy = device.gallery(config.stem)
        if not copy.exists() and copy not in without:
            owner = account.uid, account.gid
            put(Change(copy, gallery.read_bytes(), mode=0o600, owner=owner))


def _configs(
    bundle: UnpackedBundle, release: Path, device: DevicePaths, account: Account, steps: Steps
) -> Iterator[Change]:
    """A configuration that was changed on the device stays; the new one is put beside it."""
    for config in bundle.configs(device.name):
        wanted = _config(config, device.config / config.name, account)
        local = wanted.path
        is_ours = not local.exists() or local.read_bytes() in _shipped(config.name, device, release)
        if not is_ours and not _has_content(wanted):
            steps.say(f"{local}: was changed on this device and stays; the new one is {local}.new")
            wanted = _config(config, local.with_name(f"{local.name}.new"), account)
        yield wanted


def _config(config: Path, local: Path, account: Account) -> Change:
    return Change(local, config.read_bytes(), mode=0o640, owner=(0, account.gid))


def _copies_of_configs(
    bundle: UnpackedBundle, release: Path, device: DevicePaths
) -> Iterator[Change]:
    """By which a later bundle knows what was changed on the device."""
    for config in bundle.configs(device.name):
        yield Change(release / "config" / config.name, config.read_bytes(), mode=0o600)


def _shipped(name: str, device: DevicePaths, release: Path) -> list[bytes]:
    """What bundles have brought before."""
    known = (device.current / "config" / name, release / "config" / name)
    return [path.read_bytes() for path in known if path.exists()]


def _secrets_and_units(
    bundle: UnpackedBundle, device: DevicePaths, account: Account
) -> Iterator[Change]:
    for entry, path in bundle.outside(device):
        body = (bundle.folder / entry.path).read_bytes()
        if path.parent == device.secrets and path.suffix not in PUBLIC_SUFFIXES:
            yield Change(path, body, mode=0o600, owner=(account.uid, account.gid))
        elif path.parent != device.config:
            yield Change(path, body)


def _is_so(change: Change) -> bool:
    path = change.path
    if change.is_gone:
        return not path.exists() and not path.is_symlink()
    if change.link:
        return path.is_symlink() and str(path.readlink()) == change.link
    return _has_content(change) and _has_owner(change)


def _has_content(change: Change) -> bool:
    path = change.path
    return path.is_file() and not path.is_symlink() and path.read_bytes() == change.body


def _has_owner(change: Change) -> bool:
    """And mode. Only root can give a file to somebody."""
    its = change.path.stat()
    is_its = os.getuid() != 0 or (its.st_uid, its.st_gid) == change.owner
    return is_its and stat.S_IMODE(its.st_mode) == change.mode
