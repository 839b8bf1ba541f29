"""A bundle into a folder: from what was verified of it, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge_reid.core.errors import BundleError
from edge_reid.core.progress import Progress, no_progress
from edge_reid.release.bundle_file import verify
from edge_reid.release.bundle_manifest import BundleManifest
from edge_reid.release.bundle_sinks import FolderSink
from edge_reid.signing.keys import PublicKey


def unpack(
    path: Path, folder: Path, key: PublicKey | None, progress: Progress = no_progress
) -> BundleManifest:
    """Make a folder of a bundle's files; it is there only when all of it is known to be right.

    Raises:
        BundleError: the bundle is damaged or forged, the folder is there, or cannot be written.
    """
    if folder.exists() or folder.is_symlink():
        raise BundleError(
            f"--out {folder}: expected a folder to make, it is there already; give another"
        )
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        manifest = verify(path, key, progress, sink=FolderSink(draft))
        draft.rename(folder)
    except OSError as error:
        raise BundleError(
            f"--out {folder}: cannot be written: {error.strerror}; give another, or make room"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest
