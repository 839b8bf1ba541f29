"""An unpacked bundle: what it says it is, and whether it is that, whole, and for this device."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from device_paths import DevicePaths
from install_errors import InstallError
from install_progress import Steps

MANIFEST = "manifest.json"
SCHEMA = "edge-reid.bundle/1"
UNPACKS_TO = 4
"""Times its size that a wheel takes once installed; measured over all of ours, compiled: 3."""
SPARE_BYTES = 100 << 20
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
"""What a version may look like: it becomes a folder."""
PROGRAM_FOLDERS = frozenset({"wheels", "models", "systemd", "install"})
UNIT_SUFFIXES = (".service", ".target", ".slice", ".path", ".timer")
AGENT = re.compile(r"[a-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Entry:
    """A file of the bundle."""

    path: PurePosixPath
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class UnpackedBundle:
    """A bundle, unpacked into a folder."""

    folder: Path
    version: str
    target: str
    python: str
    machine: str
    device: str
    """Whose secrets it holds; empty: it is for every device of a site."""
    entries: tuple[Entry, ...]

    @classmethod
    def open(cls, folder: Path) -> UnpackedBundle:
        """Read the manifest.

        Raises:
            InstallError: there is none, or not one of ours.
        """
        manifest = folder / MANIFEST
        try:
            table = json.loads(manifest.read_bytes())
            if table["schema"] != SCHEMA:
                raise InstallError(
                    f"{manifest}: expected schema {SCHEMA}, got {table['schema']}; use the "
                    "installer that came with the bundle"
                )
            entries = tuple(_entry(file) for file in table["files"])
            version, target, python, machine = (
                str(table[name]) for name in ("version", "target", "python", "machine")
            )
            device = table["box"] or ""
            bundle = cls(folder, version, target, python, machine, device, entries)
        except OSError as error:
            raise InstallError(
                f"{manifest}: {error.strerror}; unpack the whole bundle and run its "
                "install/install.py"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InstallError(
                f"{manifest}: is not the manifest of a bundle ({error}); fetch the bundle again"
            ) from error
        if not NAME.fullmatch(bundle.version):
            raise InstallError(f"{manifest}: {bundle.version!r} is no version; make it anew")
        return bundle

    def check(self, device: DevicePaths, steps: Steps) -> None:
        """Raise InstallError unless it is whole and can run here. Nothing has been written by then.

        Raises:
            InstallError: it is for another machine or Python, a file is missing or changed, or
                there is no room.
        """
        self._check_fit()
        self._check_meant(device)
        self._check_space(device)
        total_bytes = sum(entry.size_bytes for entry in self.entries)
        with steps.progress("checking", total_bytes) as passed:
            for entry in self.entries:
                self._check_entry(entry)
                passed(entry.size_bytes)

    def below(self, folder: str) -> Iterator[Path]:
        """The files in one of its folders, and in the folders of that."""
        for entry in self.entries:
            if entry.path.parts[0] == folder:
                yield self.folder / entry.path

    def outside(self, device: DevicePaths) -> Iterator[tuple[Entry, Path]]:
        """What of it lies outside its release once it is on that device, and where."""
        configs = self.configs(device.name)
        for entry in self.entries:
            file = self.folder / entry.path
            if file in configs:
                yield entry, device.config / file.name
            elif entry.path.parent == PurePosixPath("config/secrets"):
                yield entry, device.secrets / file.name
            elif entry.path == PurePosixPath("systemd/journald.conf"):
                yield entry, device.journald
            elif entry.path.parts[0] == "systemd" and file.suffix in UNIT_SUFFIXES:
                yield entry, device.units / file.name

    @property
    def manifest(self) -> Path:
        return self.folder / MANIFEST

    @property
    def programs(self) -> frozenset[Entry]:
        """All but what is configured: what makes a release."""
        return frozenset(entry for entry in self.entries if entry.path.parts[0] in PROGRAM_FOLDERS)

    def configs(self, name: str) -> tuple[Path, ...]:
        """One an agent, for the device of that name: a bundle for all devices has those of each."""
        folder = self.folder / "config" if self.device else self.folder / "config" / name
        return tuple(
            file
            for file in self.below("config")
            if file.parent == folder and file.suffix == ".toml" and AGENT.fullmatch(file.stem)
        )

    def certificates(self, name: str) -> tuple[Path, ...]:
        """Of the agents of the device of that name, in a bundle for all devices."""
        folder = self.folder / "config" / name
        files = self.below("config") if name and not self.device else ()
        return tuple(file for file in files if file.parent == folder and file.suffix == ".crt")

    def _check_fit(self) -> None:
        machine, python = platform.machine(), "{}.{}".format(*sys.version_info)
        if self.machine != machine:
            raise InstallError(
                f"bundle {self.version}: is for {self.target} on {self.machine}, this machine is "
                f"{machine}; make one with `edge-reid bundle --target`"
            )
        if self.python != python:
            raise InstallError(
                f"bundle {self.version}: is for {self.target} with Python {self.python}, this is "
                f"Python {python}; make one with `edge-reid bundle --target`"
            )

    def _check_meant(self, device: DevicePaths) -> None:
        """A bundle without a word about this device would take all its agents away."""
        if device.name and not self.device and not self.configs(device.name):
            raise InstallError(
                f"bundle {self.version}: is for the devices of a site, and has nothing for this "
                f"one, {device.name}; name it in the site's file, or set {device.name_file} right"
            )

    def _check_space(self, device: DevicePaths) -> None:
        below = next(
            folder for folder in (device.releases, *device.releases.parents) if folder.exists()
        )
        free_bytes = shutil.disk_usage(below).free
        wheels = sum(entry.size_bytes for entry in self.entries if entry.path.parts[0] == "wheels")
        others = sum(entry.size_bytes for entry in self.entries) - wheels
        needed_bytes = wheels * UNPACKS_TO + others + SPARE_BYTES
        if free_bytes < needed_bytes:
            raise InstallError(
                f"{below}: expected {needed_bytes / 1e6:.0f} MB free, got {free_bytes / 1e6:.0f}; "
                "make room, or use a larger card"
            )

    def _check_entry(self, entry: Entry) -> None:
        path = self.folder / entry.path
        if not path.is_file() or path.is_symlink():
            raise InstallError(f"bundle {self.version}: {entry.path} is missing; unpack it again")
        size_bytes = path.stat().st_size
        if size_bytes != entry.size_bytes:
            raise InstallError(
                f"bundle {self.version}: expected {entry.path} to have {entry.size_bytes} bytes, "
                f"it has {size_bytes}; fetch the bundle again"
            )
        if sha256_of(path) != entry.sha256:
            raise InstallError(
                f"bundle {self.version}: {entry.path} is not what the manifest says (its SHA-256 "
                "differs); it was changed or damaged: fetch the bundle again"
            )


def _entry(table: dict[str, object]) -> Entry:
    path = PurePosixPath(str(table["path"]))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{path} leads out of the bundle")
    return Entry(path, int(str(table["size_bytes"])), str(table["sha256"]))


def sha256_of(path: Path) -> str:
    """Hex, of a file read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
