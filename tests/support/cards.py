"""Images, cards and boot partitions, made by Debian's own tools."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.requirements import absent

MIB = 1 << 20
BOOT_START = 4 * MIB
BOOT_BYTES = 48 * MIB
ROOT_BYTES = 12 * MIB
CMDLINE = "console=serial0,115200 console=tty1 root=PARTUUID=97709164-02 rootwait quiet\n"
CONFIG = "arm_64bit=1\n"
CLOUD_TEMPLATES = {
    "user-data": "#cloud-config\n#hostname: raspberrypi\n",
    "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
    "network-config": "#version: 2\n",
}
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def tool(*words: object, stdin: str | None = None) -> str:
    """Run a program of the system; what it prints. Without it the test is skipped."""
    name = str(words[0])
    program = shutil.which(name, path=_PATH)
    if program is None:
        absent(f"{name} (Debian: apt install fdisk dosfstools mtools util-linux e2fsprogs)")
    done = subprocess.run(
        [program, *map(str, words[1:])], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def need_to_mount() -> None:
    """Skip the test unless we are root, and not in a container that takes that away again."""
    root = os.geteuid() == 0 and Path("/dev/loop-control").exists()
    if not root or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("only root may mount and make loop devices, outside of containers")


def pi_image(path: Path, *, cloud_init: bool, label: str = "dos") -> Path:
    """An image as Raspberry Pi OS comes: a FAT partition to boot from, and a root partition."""
    size = BOOT_START + BOOT_BYTES + ROOT_BYTES + MIB
    with path.open("wb") as file:
        file.truncate(size)
    kinds = {"dos": ("c", "83"), "gpt": ("U", "L")}[label]
    table = (
        f"label: {label}\nstart={BOOT_START // 512}, size={BOOT_BYTES // 512}, type={kinds[0]}\n"
        f"size={ROOT_BYTES // 512}, type={kinds[1]}\n"
    )
    tool("sfdisk", "--quiet", path, stdin=table)
    tool("mkfs.vfat", "-F", 32, "--offset", BOOT_START // 512, path, BOOT_BYTES // 1024)
    files = {"cmdline.txt": CMDLINE, "config.txt": CONFIG, "kernel8.img": "a kernel\n" * 10_000}
    for name, text in (files | (CLOUD_TEMPLATES if cloud_init else {})).items():
        put(path, name, text)
    with path.open("r+b") as file:  # a root file system: something, much nothing, something
        file.seek(BOOT_START + BOOT_BYTES)
        file.write(random.Random(1).randbytes(5 * MIB))
        file.seek(BOOT_START + BOOT_BYTES + ROOT_BYTES - MIB)
        file.write(random.Random(2).randbytes(MIB))
    return path


def put(disk: Path, name: str, text: str) -> None:
    """A file onto the boot partition of a disk."""
    tool("mcopy", "-D", "o", "-i", f"{disk}@@{BOOT_START}", "-", f"::/{name}", stdin=text)


def get(disk: Path, name: str) -> bytes:
    """A file from the boot partition of a disk."""
    program = shutil.which("mcopy") or absent("mtools (Debian: apt install mtools)")
    return subprocess.run(
        [program, "-i", f"{disk}@@{BOOT_START}", f"::/{name}", "-"],
        capture_output=True,
        check=True,
    ).stdout


def names(disk: Path) -> set[str]:
    """All files of the boot partition of a disk."""
    listed = tool("mdir", "-/", "-b", "-i", f"{disk}@@{BOOT_START}", "::/")
    return {line.removeprefix("::/") for line in listed.splitlines() if not line.endswith("/")}


def boot_folder(folder: Path, *, cloud_init: bool) -> Path:
    """A boot partition where it is mounted."""
    folder.mkdir()
    files = {"cmdline.txt": CMDLINE, "config.txt": CONFIG}
    for name, text in (files | (CLOUD_TEMPLATES if cloud_init else {})).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@contextmanager
def card(backing: Path, *options: str) -> Iterator[Path]:
    """A file as a block device of the kernel's."""
    need_to_mount()
    device = Path(tool("losetup", "--find", "--show", *options, backing).strip())
    try:
        yield device
    finally:
        tool("losetup", "--detach", device)


def used_card(backing: Path, size_bytes: int) -> Path:
    """A card on which not one byte is zero: nothing may be taken for blank."""
    with backing.open("wb") as file:
        for _ in range(size_bytes // MIB):
            file.write(b"\xa5" * MIB)
    return backing


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A folder that holds no more than so many bytes."""
    need_to_mount()
    folder.mkdir()
    tool("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder)
    try:
        yield folder
    finally:
        with suppress(AssertionError):
            tool("umount", folder)
