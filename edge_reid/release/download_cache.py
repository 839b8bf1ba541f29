"""What a device has fetched of a release: files by their SHA-256, and which release is whole.

Those of the last release stay: of the next one only what differs is fetched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

from edge_reid.core.errors import BundleError
from edge_reid.core.files import sync_folder, write_whole
from edge_reid.core.manifest import file_sha256
from edge_reid.core.progress import Progress, no_progress
from edge_reid.signing.blobs import BlobRef
from edge_reid.signing.transport import PublicationSource
from edge_reid.transfer.layout import PIECE_BYTES

SPARE_BYTES = 100 << 20
"""Left free on the disk, for events."""


class DownloadCache:
    """A folder of ours on the device. Every method raises BundleError when the disk fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files = folder / "files"
        self.ready = folder / "ready"
        """The signed head of a release that is here whole and waits to be installed."""

    def has(self, ref: BlobRef) -> bool:
        """Whether a file is here, and unharmed."""
        path = self.files / ref.sha256
        return path.is_file() and file_sha256(path) == ref.sha256

    def check_room(self, refs: Collection[BlobRef]) -> None:
        """Raises BundleError when the disk has no room for what is still to come."""
        self.files.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(self.files).free
        needed_bytes = sum(ref.size_bytes for ref in refs) + SPARE_BYTES
        if free_bytes < needed_bytes:
            raise BundleError(
                f"{self._folder}: expected {needed_bytes / 1e6:.0f} MB free, got "
                f"{free_bytes / 1e6:.0f}; make room on this device"
            )

    def fetch(
        self, ref: BlobRef, source: PublicationSource, progress: Progress = no_progress
    ) -> Path:
        """Have a file here, whole; what an earlier attempt has got of it is not fetched again.

        Args:
            ref: which.
            source: where to fetch it from.
            progress: told the bytes of it that are here.

        Raises:
            BundleError: it is not to be had, or is another than it should be.
        """
        final = self.files / ref.sha256
        part = final.with_name(f"{ref.sha256}.part")
        try:
            self.files.mkdir(parents=True, exist_ok=True)
            self._append(part, ref, source, progress)
            if (found := file_sha256(part)) != ref.sha256:
                part.unlink()
                raise BundleError(
                    f"file {ref.sha256[:16]}…: expected this SHA-256, got {found[:16]}…; it was "
                    "changed on its way: publish the release again"
                )
            part.replace(final)
            sync_folder(self.files)
        except OSError as error:
            raise BundleError(f"{part}: {error.strerror}; make room on this device") from error
        return final

    def _append(
        self, part: Path, ref: BlobRef, source: PublicationSource, progress: Progress
    ) -> None:
        start = part.stat().st_size if part.exists() else 0
        if start > ref.size_bytes:
            part.unlink()
            start = 0
        got_bytes = start
        with part.open("ab") as file:
            progress(start, ref.size_bytes)
            if start < ref.size_bytes:
                with source.open(ref, start) as rest:
                    got_bytes = _copy(rest, file, start, ref.size_bytes, progress)
            file.flush()
            os.fsync(file.fileno())
        if got_bytes < ref.size_bytes:
            raise BundleError(
                f"file {ref.sha256[:16]}…: expected {ref.size_bytes} bytes, got {got_bytes}; it "
                "goes on there next time"
            )

    def keep_only(self, refs: Collection[BlobRef]) -> None:
        """Remove what no longer belongs to a release."""
        names = {ref.sha256 for ref in refs}
        for path in self.files.iterdir():
            if path.name not in names:
                with suppress(OSError):
                    path.unlink()

    def make_ready(self, signed_head: bytes) -> None:
        """Hand a whole release over to be installed."""
        try:
            write_whole(self.ready, signed_head)
        except OSError as error:
            raise BundleError(
                f"{self.ready}: {error.strerror}; make room on this device"
            ) from error


def _copy(
    source: IO[bytes], sink: IO[bytes], done: int, size_bytes: int, progress: Progress
) -> int:
    """Copy what is left of a file of which `done` bytes are here; returns how many are then."""
    while done < size_bytes and (piece := source.read(min(PIECE_BYTES, size_bytes - done))):
        try:
            sink.write(piece)
        except OSError as error:  # which the source would take for one of its own
            raise BundleError(f"{sink.name}: {error.strerror}; make room on this device") from error
        done += len(piece)
        progress(done, size_bytes)
    return done
