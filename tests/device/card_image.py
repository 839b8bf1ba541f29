"""An image of a card as Raspberry Pi OS bookworm comes: what firmware reads on FAT, Debian on ext4.

What is on it is Debian's own, kernel and initramfs with it; only the names, places and words of the
boot partition are those of Pi OS. Nothing is mounted to make it.
"""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Iterator
from pathlib import Path

from arm_root import ArmRoot
from support.cards import MIB, tool

PACKAGES = (
    "systemd,systemd-sysv,libpam-systemd,dbus,udev,kmod,initramfs-tools,python3,ca-certificates,"
    "network-manager,openssh-server,sudo,iproute2,passwd,util-linux,tzdata,procps"
)
"""What Pi OS brings and a device needs; the kernel comes last, as its initramfs is made of them."""
BOOT_START = 4 * MIB
BOOT_BYTES = 512 * MIB
ROOT_BYTES = 4096 * MIB
DISK = "e2d5ad01"
CMDLINE = (
    f"console=tty1 console=ttyAMA0,115200 root=PARTUUID={DISK}-02 rootfstype=ext4 "
    "fsck.repair=yes rootwait\n"
)
CONFIG = "arm_64bit=1\nauto_initramfs=1\n"
FSTAB = f"""\
PARTUUID={DISK}-01 /boot/firmware vfat defaults 0 2
PARTUUID={DISK}-02 / ext4 defaults,noatime 0 1
"""
KERNEL, INITRAMFS = "kernel8.img", "initramfs8"
"""As the firmware of a Pi 4 looks for them."""


def add_kernel(root: ArmRoot) -> None:
    """Debian's, unless it is there; ten minutes, most of them for its initramfs."""
    if not any(root.inside("/boot").glob("initrd.img-*")):
        words = ("apt-get", "install", "--yes", "--no-install-recommends", "linux-image-arm64")
        root.run(words, network=True)


def make_image(root: ArmRoot, clip: Path, path: Path) -> Path:
    """The image, with a clip for a camera that there is none of, at /srv."""
    _be_like_pi_os(root)
    shutil.copy(clip, root.inside("/srv"))
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(BOOT_START + BOOT_BYTES + ROOT_BYTES)
    table = (
        f"label: dos\nlabel-id: 0x{DISK}\nstart={BOOT_START // 512}, size={BOOT_BYTES // 512}, "
        f"type=c\nsize={ROOT_BYTES // 512}, type=83\n"
    )
    tool("sfdisk", "--quiet", path, stdin=table)
    tool("mkfs.vfat", "-F", 32, "-n", "bootfs", "--offset", BOOT_START // 512, path, 512 * 1024)
    _fill_boot(root, path)
    words = ("-q", "-F", "-t", "ext4", "-L", "rootfs", "-d", root.folder)
    tool("mke2fs", *words, "-E", f"offset={BOOT_START + BOOT_BYTES}", path, "4096M")
    return path


def on_boot(disk: Path, name: str, copy: Path) -> Path:
    """A file of the boot partition, copied here."""
    tool("mcopy", "-n", "-o", "-i", f"{disk}@@{BOOT_START}", f"::/{name}", copy)
    return copy


def is_on_boot(disk: Path, body: bytes) -> bool:
    """Whether these bytes are anywhere on the boot partition, in a file or where one was."""
    end = BOOT_START + BOOT_BYTES
    with (
        disk.open("rb") as file,
        mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) as raw,
    ):
        return raw.find(body, BOOT_START) >= 0


def _fill_boot(root: ArmRoot, path: Path) -> None:
    for name, start in ((KERNEL, "vmlinuz"), (INITRAMFS, "initrd.img")):
        tool("mcopy", "-i", f"{path}@@{BOOT_START}", _newest(root, start), f"::/{name}")
    for name, text in (("cmdline.txt", CMDLINE), ("config.txt", CONFIG)):
        tool("mcopy", "-i", f"{path}@@{BOOT_START}", "-", f"::/{name}", stdin=text)


def _newest(root: ArmRoot, start: str) -> Path:
    return max(root.inside("/boot").glob(f"{start}-*"))


def _be_like_pi_os(root: ArmRoot) -> None:
    """Where Pi OS and a Debian without a person's hand on it differ, for what a device needs."""
    root.inside("/boot/firmware").mkdir(exist_ok=True)
    root.inside("/etc/fstab").write_text(FSTAB)
    root.inside("/etc/hostname").write_text("raspberrypi\n")
    root.inside("/etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 raspberrypi\n")
    root.inside("/etc/machine-id").write_text("")  # each card makes its own
    root.inside("/var/lib/dbus/machine-id").unlink(missing_ok=True)
    for link in _switched_on(root, "ssh"):  # off, until somebody switches it on
        link.unlink()


def _switched_on(root: ArmRoot, service: str) -> Iterator[Path]:
    units = root.inside("/etc/systemd/system")
    for name in (f"multi-user.target.wants/{service}.service", f"{service}d.service"):
        if (units / name).is_symlink():
            yield units / name
