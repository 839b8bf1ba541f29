"""Root's part of an update: take nothing on trust, make a bundle of it, run its installer.

What was downloaded comes from outside, by a user who parses video. So everything is copied into a
folder of root's while it is hashed, and is a release only if the head is signed by the key that
this device pins and names just these bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.sync_settings import UpdateSettings
from edge_reid.core.errors import BundleError
from edge_reid.release.bundle_manifest import MANIFEST, ROOT, parse_manifest
from edge_reid.release.device import Attempt, Device, check_newer
from edge_reid.release.release_head import MAX_HEAD_BYTES, ReleaseHead, check_manifest, open_head
from edge_reid.signing.blobs import BlobRef
from edge_reid.signing.keys import read_public_key

_PIECE_BYTES = 1 << 18
_ERROR = "error: "


def install_release(device: Device, settings: AgentSettings, update: UpdateSettings) -> Attempt:
    """Install the release that lies ready, if it is one; whatever comes of it is noted.

    Raises:
        BundleError: what lies there is signed by nobody we know; nothing is noted then.
    """
    try:
        head = _head(device, settings.site, update)
        failure = _install(device, head)
        attempt = Attempt(head.serial, head.version, failure, int(time.time()))  # never ahead
        device.record(attempt)
    finally:
        _remove(device.downloads.ready)
    return attempt


def _remove(path: Path) -> None:
    """Whatever it is: while it is there, it would be looked at again and again."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path, ignore_errors=True)


def _head(device: Device, site: str, update: UpdateSettings) -> ReleaseHead:
    with _opened(device.downloads.ready) as file:
        head = open_head(file.read(MAX_HEAD_BYTES + 1), read_public_key(update.public_key))
    check_newer(head, site, device, update.least_serial)
    return head


def _install(device: Device, head: ReleaseHead) -> str:
    """Why it failed; empty: it is installed."""
    incoming = device.home / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    try:
        _unpack(device, head, incoming / ROOT)
        return _run_installer(incoming / ROOT, device.root)
    except BundleError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or incoming}: {error.strerror}"
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _unpack(device: Device, head: ReleaseHead, folder: Path) -> None:
    """The downloaded files as the folder that a bundle unpacks to, every byte hashed on its way."""
    runs = device.installed.manifest
    target = head.targets.get(runs.target)
    if target is None:
        raise BundleError(f"release {head.version}: is not for {runs.target}")
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    _copy(device, target.manifest, folder / MANIFEST)
    manifest = parse_manifest((folder / MANIFEST).read_bytes())
    check_manifest(manifest, head, runs, device.name)
    for file in manifest.files:
        copy = folder / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(device, file.ref, copy)


def _copy(device: Device, file: BlobRef, to: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with _opened(device.downloads.files / file.sha256) as source, to.open("xb") as sink:
        while piece := source.read(min(_PIECE_BYTES, file.size_bytes - size + 1)):
            size += len(piece)
            if size > file.size_bytes:
                break
            digest.update(piece)
            sink.write(piece)
    if size != file.size_bytes or digest.hexdigest() != file.sha256:
        raise BundleError(
            f"{to.name}: is not what the release says; it was changed on this device, and is "
            "fetched again"
        )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A plain file, whoever else owns the folder: no link is followed, no pipe waited at."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        file = os.fdopen(descriptor, "rb")
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read: {error.strerror}; it is fetched again"
        ) from error
    with file:
        yield file


def _run_installer(bundle: Path, root: Path) -> str:
    """By the system's Python, as a person would; what it complains of if it fails."""
    python = Path(sys.base_prefix) / "bin/python3"
    words = [python, bundle / "install/install.py", "--unattended", "--root", root]
    done = subprocess.run(  # noqa: S603
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    sys.stderr.write(done.stderr)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"the installer ended with {done.returncode}"]
    complaints = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    return complaints[-1] if complaints else lines[-1]
