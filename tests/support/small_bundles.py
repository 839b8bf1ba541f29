"""A small bundle, and ways to spoil one."""

from __future__ import annotations

import io
import platform
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import zstandard

from deploy.bundle.bundle_writer import Content, listing, write_bundle
from edge_reid.release.bundle_manifest import BundleManifest
from edge_reid.signing.keys import SigningKey

KEY = SigningKey.generate()
CONTENTS = {
    "config/gate.toml": Content(b'site = "lab"\n'),
    "config/secrets/agent.key": Content(b"a key\n"),
    "install/install.py": Content(b"print('installing')\n"),
    "wheels/large-1-py3-none-any.whl": Content(bytes(range(256)) * 400),
}
Member = tuple[tarfile.TarInfo, bytes]


def manifest(contents: dict[str, Content] = CONTENTS, **changes: object) -> BundleManifest:
    """Of a bundle for this machine."""
    said = {
        "version": "1.0",
        "target": "debian-x86",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
        "box": "gate-1",
        "site": "lab",
        "model_id": "0123456789abcdef",
        "files": listing(contents),
    }
    return BundleManifest.model_validate({**said, **changes})


def write(out: Path, key: SigningKey | None = KEY) -> Path:
    """The small bundle as a file."""
    write_bundle(out, manifest(), CONTENTS, key)
    return out


def members(path: Path) -> list[Member]:
    """What is in the tar of a bundle."""
    with (
        path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as tar_bytes,
        tarfile.open(fileobj=tar_bytes, mode="r|") as tar,
    ):
        return [(it, tar.extractfile(it).read()) for it in tar]  # type: ignore[union-attr]


def write_members(path: Path, content: Iterable[Member]) -> Path:
    """A bundle of any members, right or wrong."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, data in content:
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    path.write_bytes(zstandard.compress(body.getvalue()))
    return path


def spoiled(path: Path, spoil: Callable[[list[Member]], list[Member]]) -> Path:
    """The same bundle with other members."""
    return write_members(path, spoil(members(path)))
