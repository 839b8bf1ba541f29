"""Wheels kept by their hash, so that what was fetched once is there without a network."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from deploy.bundle.lock import Lock, Pin
from deploy.bundle.pip_run import pip_for
from deploy.bundle.wheel import Wheel, read_wheel
from deploy.site.targets import Target
from edge_reid.core.errors import BundleError
from edge_reid.core.manifest import file_sha256
from edge_reid.core.progress import Progress, no_progress


def _of(total: int, progress: Progress) -> Progress:
    """Pip counts packages, and does not know of how many."""
    return lambda done, _: progress(done, total)


def default_folder() -> Path:
    """Where wheels are kept if nobody says otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "edge-reid" / "wheels"


class Wheelhouse:
    """A folder of wheels: SHA256/NAME.whl."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, lock: Lock, target: Target, progress: Progress = no_progress) -> list[Wheel]:
        """The wheels of a lock, downloaded where they are not here; `progress` is told of those.

        Raises:
            BundleError: one is not to be had, or the folder cannot be written.
        """
        if missing := [pin for pin in lock.pins if self._find(pin) is None]:
            self._download(missing, target, _of(len(missing), progress))
        return [read_wheel(self._found(pin)) for pin in lock.pins]

    def _download(self, pins: list[Pin], target: Target, progress: Progress) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as draft:
                wanted = Path(draft, "wanted.txt")
                wanted.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
                words = ("download", "--no-deps", "--require-hashes", "--dest", draft)
                pip_for(target, (*words, "--requirement", str(wanted)), progress)
                for path in Path(draft).glob("*.whl"):
                    self._keep(path)
        except OSError as error:
            raise BundleError(
                f"wheels {self._folder}: cannot be written: {error.strerror}; "
                "make room, or give another --cache"
            ) from error

    def _keep(self, path: Path) -> None:
        home = self._folder / file_sha256(path)
        home.mkdir(exist_ok=True)
        path.replace(home / path.name)

    def _find(self, pin: Pin) -> Path | None:
        for path in (self._folder / pin.sha256).glob("*.whl"):
            if file_sha256(path) == pin.sha256:
                return path
            path.unlink()  # damaged since
        return None

    def _found(self, pin: Pin) -> Path:
        path = self._find(pin)
        if path is None:
            raise BundleError(f"wheels: {pin.name} {pin.version} was not downloaded")
        return path
