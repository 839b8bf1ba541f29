"""A device, as far as a release concerns it: what is installed, and how it takes another."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import BundleError
from edge_reid.core.files import read_json_or_none, write_whole
from edge_reid.release.bundle_manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    BundleManifest,
    parse_manifest,
)
from edge_reid.release.device_files import (
    CONFIG,
    CURRENT,
    DOWNLOADS,
    HOME,
    MOST_CUTS,
    NAME_FILE,
    REFUSED_FILE,
)
from edge_reid.release.download_cache import DownloadCache
from edge_reid.release.release_head import ReleaseHead
from edge_reid.signing.blobs import ref_of


@dataclass(frozen=True, slots=True)
class Installed:
    """The release that runs."""

    manifest: BundleManifest
    sha256: str
    """Of the manifest's file: the release in one word."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What root did with a release last."""

    serial: int
    version: str
    failure: str
    """Why it is not installed, in words; empty: it is."""
    at_utc_s: int


class Device:
    """The folders and files of a device; `root` may be a folder that stands for its `/`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.home = root / HOME
        self.downloads = DownloadCache(root / DOWNLOADS)
        self.report_file = root / DOWNLOADS / "told.json"
        """What the device reported last."""
        self.soak_file = root / DOWNLOADS / "soak.json"
        """Since when it sees others run the release that is published."""
        self._attempt_file = self.home / "update.json"

    @property
    def settings(self) -> AgentSettings | None:
        """Of the agent that takes releases for the device; None when none does.

        Raises:
            ConfigError: a configuration has mistakes.
        """
        agents = (load_settings(file, {}) for file in self._config_files)
        return next((settings for settings in agents if settings.update), None)

    @property
    def name(self) -> str:
        """What its site calls it; empty if it has no name."""
        file = self.root / NAME_FILE
        return file.read_text(encoding="utf-8").strip() if file.exists() else ""

    @property
    def installed(self) -> Installed:
        """The release in force.

        Raises:
            BundleError: none was installed from a bundle.
        """
        path = self.root / CURRENT / MANIFEST
        try:
            with path.open("rb") as file:
                body = file.read(MAX_MANIFEST_BYTES + 1)
        except OSError as error:
            raise BundleError(
                f"{path}: cannot be read: {error.strerror}; a device takes releases by itself once "
                "`edge-reid flash` or install.py has installed one"
            ) from error
        return Installed(parse_manifest(body), ref_of(body).sha256)

    def taken_back(self, version: str) -> str:
        """Why a release was taken back and is not tried again; empty if it was not."""

        def reason(table: dict[str, Any]) -> str:
            entry = table.get(version)
            return str(entry["reason"]) if entry and entry["cuts"] >= MOST_CUTS else ""

        return read_json_or_none(self.root / REFUSED_FILE, reason) or ""

    @property
    def attempt(self) -> Attempt | None:
        """The last one."""
        return read_json_or_none(self._attempt_file, _parse_attempt)

    def record(self, attempt: Attempt) -> None:
        """Remember an attempt; root does."""
        write_whole(self._attempt_file, json.dumps(asdict(attempt), indent=1).encode())

    def failing_agents(self) -> str:
        """Which agents do not run, and how they are; empty: all do, or nobody could tell."""
        if shutil.which("systemctl") is None or not (self.root / "run/systemd/system").is_dir():
            return ""
        states = {file.stem: _unit_state(file.stem) for file in self._config_files}
        failing = [f"edge-reid@{name}: {state}" for name, state in states.items() if state]
        return "; ".join(failing)

    @property
    def _config_files(self) -> list[Path]:
        return sorted((self.root / CONFIG).glob("[!.]*.toml"))


def _unit_state(agent: str) -> str:
    unit = f"edge-reid@{agent}.service"
    words = ["systemctl", "show", unit, "--property=ActiveState,SubState"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    state = f"{found.get('ActiveState')} {found.get('SubState')}"
    return "" if state == "active running" else state


def check_newer(head: ReleaseHead, site: str, device: Device, least_serial: int) -> None:
    """Raise BundleError unless a head is for this site and no replay.

    Raises:
        BundleError: it is for another, came before one that this device has had, or before the
        least that it may have.
    """
    if head.site != site:
        raise BundleError(f"release head: expected one of site {site}, got one of {head.site}")
    if head.serial < least_serial:
        raise BundleError(
            f"release head: serial {head.serial} was published before serial {least_serial}, the "
            "update.least_serial of this device; publish the release anew"
        )
    before = device.attempt
    if before and head.serial < before.serial:
        raise BundleError(
            f"release head: serial {head.serial} was published before serial {before.serial}, "
            "which this device has had already; publish the release anew"
        )


def _parse_attempt(table: dict[str, Any]) -> Attempt:
    return Attempt(
        int(table["serial"]),
        str(table["version"]),
        str(table["failure"]),
        int(table["at_utc_s"]),
    )
