"""Bundles of real wheels, unpacked, as `edge-reid bundle` makes them, to install from."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import zstandard

from deploy.bundle.bundle_writer import Content, listing, write_bundle
from edge_reid.release.bundle_manifest import BundleManifest
from edge_reid.signing.keys import SigningKey

PYTHON_VERSION = "{}.{}".format(*sys.version_info)
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def unpack(bundle: Path, folder: Path) -> None:
    """As `tar --zstd -xf` does; what is in the bundle's one folder comes to lie in another."""
    beside = folder.with_name(f"{folder.name}.tar")
    with zstandard.open(bundle, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        tar.extractall(beside, filter="data")
    (beside / "edge-reid-bundle").rename(folder)
    beside.rmdir()


def unpack_into(
    folder: Path,
    version: str,
    wheels: Iterable[Path],
    *,
    models: Path | None = None,
    configs: dict[str, str],
    secrets: dict[str, bytes] | None = None,
    gallery: Path | None = None,
    **claims: str | None,
) -> Path:
    """A folder as a bundle unpacks to; `claims` override what the manifest says it is for."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DEPLOY / "systemd", folder / "systemd")
    ignored = shutil.ignore_patterns("__pycache__", "*.md")
    shutil.copytree(DEPLOY / "install", folder / "install", ignore=ignored)
    for name in ("wheels", "models", "config/secrets", "gallery"):
        (folder / name).mkdir(parents=True)
    for wheel in wheels:
        shutil.copy(wheel, folder / "wheels")
    for model in models.iterdir() if models else ():
        shutil.copy(model, folder / "models")
    for camera, text in configs.items():
        config = folder / "config" / f"{camera}.toml"
        config.parent.mkdir(exist_ok=True)  # camera, or for all devices device/camera
        config.write_text(text)
    for name, body in (secrets or {}).items():
        (folder / "config/secrets" / name).write_bytes(body)
    if gallery:
        shutil.copy(gallery, folder / "gallery/gallery.db")
    write_manifest(folder, version, **claims)
    return folder


def pack(folder: Path, out: Path, key: SigningKey) -> Path:
    """The signed bundle that unpacks to such a folder."""
    claims = json.loads((folder / "manifest.json").read_text())
    files = [it for it in folder.rglob("*") if it.is_file() and it.parent != folder]
    contents = {str(it.relative_to(folder)): Content(it) for it in files}
    manifest = BundleManifest.model_validate({**claims, "files": listing(contents)})
    write_bundle(out, manifest, contents, key)
    return out


def write_manifest(folder: Path, version: str, **claims: str | None) -> None:
    files = sorted(it for it in folder.rglob("*") if it.is_file() and it.parent != folder)
    manifest = {
        "schema": "edge-reid.bundle/1",
        "version": version,
        "target": "debian-x86",
        "python": PYTHON_VERSION,
        "machine": platform.machine(),
        "box": "gate-1",
        "site": "lab",
        "model_id": "0123456789abcdef",
        **claims,
        "files": [_entry(it, folder) for it in files],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _entry(path: Path, folder: Path) -> dict[str, object]:
    body = path.read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    return {"path": str(path.relative_to(folder)), "size_bytes": len(body), "sha256": sha256}


def as_version(
    wheel: Path, version: str, folder: Path, replaced: dict[str, bytes] | None = None
) -> Path:
    """The same wheel under another version, as the next release would have it; `replaced` files
    have another content.
    """
    name, old, tags = wheel.name.split("-", 2)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{name}-{version}-{tags}"
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as out:
        record = []
        for item in source.namelist():
            body = (replaced or {}).get(item) or source.read(item)
            where = item.replace(f"{name}-{old}.dist-info", f"{name}-{version}.dist-info")
            if item.endswith("METADATA"):
                body = body.replace(f"Version: {old}".encode(), f"Version: {version}".encode(), 1)
            if item == "edge_reid/__init__.py":
                body = body.replace(f'"{old}"'.encode(), f'"{version}"'.encode())
            if item.endswith("RECORD"):
                continue
            out.writestr(where, body)
            record.append(_record_line(where, body))
        listed = f"{name}-{version}.dist-info/RECORD"
        out.writestr(listed, "\n".join([*record, f"{listed},,", ""]))
    return copy


def small_wheel(folder: Path, version: str, program: str) -> Path:
    """A wheel called edge-reid that brings one program, `edge-reid`, and needs nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"edge_reid-{version}.dist-info"
    files = {
        "edge_reid_small.py": program,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: edge-reid\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedge-reid = edge_reid_small:main\n",
    }
    wheel = folder / f"edge_reid-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
        lines = [_record_line(name, text.encode()) for name, text in files.items()]
        out.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,", ""]))
    return wheel


def _record_line(name: str, body: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(body)}"
