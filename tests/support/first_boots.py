"""A device that starts: a root file system of this machine's own programs, changed in
memory only.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cards import boot_folder, need_to_mount, tool

STATE = "var/lib/edge-reid-setup"
UNIT = "edge-reid-setup.service"


@dataclass(frozen=True)
class CardDevice:
    """Its root; the boot partition lies at /boot/firmware."""

    root: Path

    @property
    def boot(self) -> Path:
        return self.root / "boot/firmware"

    @property
    def log(self) -> list[str]:
        """What it wrote for people, without the times."""
        path = self.boot / "edge-reid.log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line.split(" ", 1)[1] for line in lines]

    @property
    def is_enabled(self) -> bool:
        """Whether systemd would finish the installation."""
        return (self.root / "etc/systemd/system/multi-user.target.wants" / UNIT).is_symlink()

    def run(self, *words: str) -> int:
        """A command as root on it; it cannot change the name of this machine, or mount here."""
        return subprocess.run(
            ["unshare", "--uts", "--mount", "chroot", str(self.root), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        ).returncode

    def start(self) -> None:
        """What systemd does at a start: the command line's script, or what is enabled."""
        cmdline = (self.boot / "cmdline.txt").read_text(encoding="utf-8")
        assert cmdline.count("\n") == 1
        if "systemd.run=" in cmdline:
            assert "systemd.run=/boot/firmware/firstrun.sh " in cmdline
            assert self.run("sh", "/boot/firmware/firstrun.sh") in {0, -9, 137}
        elif self.is_enabled:
            self.run("sh", f"/{STATE}/setup.sh", "finish")

    def start_by_cloud_init(self, command: list[str]) -> None:
        """What cloud-init does at the first start, with the command of its user-data."""
        assert self.run(*command) == 0

    def has(self, program: str, script: str) -> None:
        """Put a program there."""
        path = self.root / program.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def loses_power_at(self, program: str) -> None:
        """The first time that a program is called, all stops there."""
        self.has(f"usr/local/bin/{program}", f"rm -f /usr/local/bin/{program}\nkill -9 $PPID")


@contextmanager
def new_device(folder: Path, *, cloud_init: bool) -> Iterator[CardDevice]:
    """A device that has never been started, with the card of an image in it."""
    need_to_mount()
    changes, root = folder / "changes", folder / "root"
    for each in (changes, root):
        each.mkdir(parents=True)
    with ExitStack() as mounts:
        mount(mounts, changes, "-t", "tmpfs", "tmpfs")
        (changes / "up").mkdir()
        (changes / "work").mkdir()
        layers = f"lowerdir=/,upperdir={changes}/up,workdir={changes}/work"
        mount(mounts, root, "-t", "overlay", "-o", layers, "overlay")
        yield _prepared(CardDevice(root), cloud_init=cloud_init)


def mount(mounts: ExitStack, folder: Path, *words: object) -> None:
    """Something onto a folder, until the stack ends."""
    tool("mount", *words, folder)
    mounts.callback(tool, "umount", "--lazy", folder)


def _prepared(device: CardDevice, *, cloud_init: bool) -> CardDevice:
    device.boot.parent.mkdir(parents=True, exist_ok=True)
    boot_folder(device.boot, cloud_init=cloud_init)
    unit = "[Service]\nExecStart=/usr/sbin/sshd -D\n[Install]\nWantedBy=multi-user.target\n"
    units = device.root / "etc/systemd/system"
    units.mkdir(parents=True, exist_ok=True)
    (units / "ssh.service").write_text(unit, encoding="ascii")
    (device.root / "usr/share/zoneinfo/Europe").mkdir(parents=True, exist_ok=True)
    (device.root / "usr/share/zoneinfo/Europe/Berlin").touch()
    return device
