"""The bundle that goes to one device: checked here, carried as a plain tar.

A device has no zstd when it starts first, and wheels are packed already.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.flash.first_boot import Tar
from deploy.site.site import Site
from edge_reid.core.errors import BundleError
from edge_reid.core.manifest import file_sha256
from edge_reid.release.bundle_file import verify
from edge_reid.release.bundle_manifest import BundleManifest
from edge_reid.release.bundle_sinks import TarSink
from edge_reid.signing.keys import PublicKey, read_public_key


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle that is whole, signed as the site wants it, and for this very device."""

    path: Path
    manifest: BundleManifest
    key: PublicKey | None
    """That signed it; None: the site wants no signature."""

    @classmethod
    def checked(
        cls, path: Path, site: Site, device: str, told: Callable[[int, int | None], None]
    ) -> VerifiedBundle:
        """Read all of a bundle.

        Raises:
            BundleError: it is damaged, forged, or for another device or kind of device.
        """
        pinned = site.files.release_public_key
        key = read_public_key(pinned) if pinned else None
        manifest = verify(path, key, told)
        _check_meant_for(manifest, path, site, device)
        return cls(path, manifest, key)

    @property
    def manifest_sha256(self) -> str:
        """Of the manifest, hex: what a device is asked for that has it installed."""
        return hashlib.sha256(self.manifest.to_bytes()).hexdigest()

    @contextmanager
    def tar(self) -> Iterator[Tar]:
        """A plain tar, in a place that only we can read, for as long as it is needed. It is written
        from what is verified of the bundle, and nothing of the bundle's own bytes gets past that.

        Raises:
            BundleError: the bundle is not any more what was checked.
        """
        with tempfile.TemporaryDirectory(prefix="edge-reid-") as folder:
            path = Path(folder) / "box.tar"
            self._write_anew(path)
            yield Tar(path, path.stat().st_size, file_sha256(path))

    def _write_anew(self, path: Path) -> None:
        try:
            with path.open("wb") as plain:
                sink = TarSink(plain)
                manifest = verify(self.path, self.key, sink=sink)
                sink.end()
        except OSError as error:
            raise BundleError(
                f"bundle {self.path}: cannot be unpacked to {path.parent}: {error.strerror}; make "
                "room there, or set TMPDIR to where there is some"
            ) from error
        if manifest != self.manifest:
            raise BundleError(f"bundle {self.path}: was changed meanwhile; start again")


def _check_meant_for(manifest: BundleManifest, path: Path, site: Site, device: str) -> None:
    expected = {"site": site.site, "device": device, "target": site.target_of(device)}
    found = {"site": manifest.site, "device": manifest.device, "target": manifest.target}
    wrong = [key for key in expected if expected[key] != found[key]]
    if wrong:
        raise BundleError(
            f"bundle {path}: expected one for "
            + ", ".join(f"{key} {expected[key]}" for key in wrong)
            + ", got one for "
            + ", ".join(f"{key} {found[key] or 'any'}" for key in wrong)
            + f"; edge-reid bundle --target {expected['target']} --device {device} makes it"
        )
