"""Where things are on a device, and whom they belong to."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from install_errors import InstallError

UPDATE = re.compile(r"^\s*\[\s*update\s*\]", re.MULTILINE)
USER = "edge-reid"
GROUPS = ("video", "render")
"""Whom cameras and processors let in. Not every system has both."""


@dataclass(frozen=True)
class DevicePaths:
    """A device, or another folder that stands for its `/`."""

    root: Path

    @property
    def is_this(self) -> bool:
        """Whether it is the system that we run in, not a folder of it."""
        return self.root == Path("/")

    @property
    def home(self) -> Path:
        return self.root / "opt/edge-reid"

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def current(self) -> Path:
        """The link to the release that runs."""
        return self.home / "current"

    @property
    def config(self) -> Path:
        return self.root / "etc/edge-reid"

    @property
    def secrets(self) -> Path:
        return self.config / "secrets"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/edge-reid"

    @property
    def units(self) -> Path:
        return self.root / "etc/systemd/system"

    @property
    def wants(self) -> Path:
        """Links to the agents that start at boot."""
        return self.units / "edge-reid.target.wants"

    @property
    def journald(self) -> Path:
        return self.root / "etc/systemd/journald.conf.d/edge-reid.conf"

    @property
    def command(self) -> Path:
        """What people type."""
        return self.root / "usr/local/bin/edge-reid"

    def gallery(self, agent: str) -> Path:
        """The gallery of an agent, where bundles put it."""
        return self.state / f"gallery-{agent}.db"

    @property
    def replaced_galleries(self) -> Path:
        """Names of galleries that are to be looked through once the upgrade is confirmed."""
        return self.home / "replaced-galleries"

    def starts(self, agent: str) -> Path:
        """Where an agent counts its starts, to wait longer before each."""
        return self.root / "run/edge-reid" / agent / "starts"

    @property
    def has_systemd(self) -> bool:
        """Whether a systemd runs there that could start anything."""
        return (self.root / "run/systemd/system").is_dir()

    @property
    def name_file(self) -> Path:
        return self.config / "box"

    @property
    def name(self) -> str:
        """What its site calls it; empty before the first bundle that was made for it."""
        return self.name_file.read_text().strip() if self.name_file.exists() else ""

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the units that have a configuration, from a bundle or made by hand."""
        return tuple(sorted(file.stem for file in self.config.glob("[!.]*.toml")))

    @property
    def takes_updates(self) -> bool:
        """Whether an agent's configuration has an `[update]` section: Python 3.10 reads no TOML."""
        configs = (self.config / f"{agent}.toml" for agent in self.agents)
        return any(
            UPDATE.search(config.read_text("utf-8-sig", errors="replace")) for config in configs
        )

    def current_version(self) -> str | None:
        return self.current.readlink().name if self.current.is_symlink() else None


def agent_unit(agent: str) -> str:
    """The unit of an agent: of that camera, or of the device where one agent has several."""
    return f"edge-reid@{agent}.service"


@dataclass(frozen=True)
class Account:
    """Whom the state and the keys belong to, and whom the agents run as."""

    uid: int
    gid: int

    @classmethod
    def of(cls, device: DevicePaths) -> Account:
        """The user of a device, made if missing; in a folder that stands for one, whoever we are.

        Raises:
            InstallError: we are not root, or the user cannot be made.
        """
        if not device.is_this:
            return cls(os.getuid(), os.getgid())
        if os.getuid() != 0:
            raise InstallError("expected to be run as root; run: sudo python3 install/install.py")
        _make_user()
        entry = pwd.getpwnam(USER)
        return cls(entry.pw_uid, entry.pw_gid)

    def owns(self, path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, self.uid, self.gid)

    def shares(self, path: Path) -> None:
        """Root's, but this user may look into it."""
        if os.getuid() == 0:
            os.chown(path, 0, self.gid)

    def run_as(self, words: list[str]) -> list[str]:
        """A command line that runs as this user."""
        if self.uid == os.getuid():
            return words
        return ["runuser", "-u", USER, "--", *words]


def _make_user() -> None:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        home = str(DevicePaths(Path("/")).state)
        _system("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home, USER)
    for group in GROUPS:
        if shutil.which("usermod") and f"\n{group}:" in Path("/etc/group").read_text():
            _system("usermod", "--append", "--groups", group, USER)


def _system(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"{words[0]}: {done.stderr.strip()}; the user {USER} is needed")
