"""A Debian bookworm for arm64 in a folder, and programs of it run here under qemu-user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates,systemd"
"""What Pi OS brings and a minimal Debian does not."""
CPU = "cortex-a72"
"""Of a Raspberry Pi 4; qemu has it instead of all that qemu can do."""
CORE = """\
processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
"""A Pi 4 in /proc/cpuinfo. qemu-user shows the host's there, at which LiteRT crashes."""
ENTER = """\
mount -t proc proc "$0/proc"
mount --rbind /sys "$0/sys"
mount --rbind /dev "$0/dev"
mount --bind "$1" "$0/proc/cpuinfo"
shift
exec chroot "$0" "$@"
"""
NEEDS = {
    "debootstrap": "debootstrap",
    "qemu-aarch64-static": "qemu-user-static",
    "mosquitto": "mosquitto",
    "unshare": "util-linux",
}
"""Programs, and Debian's packages of them."""


@dataclass(frozen=True)
class ArmRoot:
    """The folder that is `/` for its programs."""

    folder: Path
    packages: str = PACKAGES

    def make(self) -> None:
        """Fetch and unpack it, unless it is there: ten minutes and more."""
        done = self.folder / "etc" / "edge-reid-device-test"
        if done.exists():
            return
        words = ("--arch=arm64", "--variant=minbase", f"--include={self.packages}", SUITE)
        subprocess.run(["debootstrap", *words, str(self.folder)], check=True)
        (self.folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
        done.touch()

    def run(self, words: Sequence[object], *, network: bool) -> subprocess.CompletedProcess[str]:
        """A program inside, with the host's loopback or with no network at all; says all it says.

        Its mounts and its network are its own and end with it.
        """
        cpuinfo = self.folder.parent / "cpuinfo"
        cpuinfo.write_text("".join(CORE.format(number=n) for n in range(os.cpu_count() or 1)))
        apart = ("unshare", "--mount", *(() if network else ("--net",)))
        return subprocess.run(
            [*apart, "sh", "-ec", ENTER, str(self.folder), str(cpuinfo), *map(str, words)],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "QEMU_CPU": CPU, "LANG": "C.UTF-8"},
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        )

    def inside(self, path: str) -> Path:
        """A path of it, as it is called outside."""
        return self.folder / path.lstrip("/")


def check_machine(title: str, needs: Mapping[str, str] = NEEDS) -> None:
    """Leave, saying what is missing, if this machine cannot run such a root."""
    if os.geteuid() != 0:
        sys.exit(f"{title}: expected root (debootstrap, chroot); run: sudo make {title}")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [
        package
        for program, package in needs.items()
        if not any(Path(folder, program).exists() for folder in path.split(":"))
    ]
    if missing:
        sys.exit(f"{title}: missing here; run: apt-get install {' '.join(missing)} binfmt-support")
    if not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists():
        sys.exit(
            f"{title}: expected arm64 programs to start here; "
            "run: mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; update-binfmts --enable"
        )
