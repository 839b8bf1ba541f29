"""A block device and what speaks against writing to it, as Linux tells it in /sys and /proc."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_reid.core.errors import FlashError

_SECTOR_BYTES = 512
_SYSTEM_MOUNTS = frozenset(("/", "/boot", "/boot/efi", "/boot/firmware", "/home", "/usr", "/var"))


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where Linux tells about cards."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")


@dataclass(frozen=True, slots=True)
class Card:
    """A whole disk, a card in its reader."""

    path: Path
    name: str
    """As the kernel calls it: sdb, mmcblk0."""
    model: str
    """As its maker calls it; may be empty."""
    size_bytes: int
    is_removable: bool
    is_read_only: bool
    mounts: tuple[str, ...]
    """Where it or a part of it is mounted, also through LVM, RAID or encryption."""
    swaps: tuple[str, ...]
    holders: tuple[str, ...]
    """Devices that lie on it: LVM, RAID, encryption."""

    @property
    def title(self) -> str:
        """`/dev/sdb (Generic STORAGE, 31.9 GB)`."""
        words = f"{self.model}, " if self.model else ""
        return f"{self.path} ({words}{self.size_bytes / 1e9:.1f} GB)"

    @property
    def is_in_use(self) -> bool:
        """Linux would not let us have it for ourselves."""
        return bool(self.mounts or self.swaps or self.holders)

    def impossible(self, image_bytes: int) -> str | None:
        """Why an image cannot be written to it, whatever one wants; None if it can."""
        if self.size_bytes == 0:
            return "has no card in it; put one in"
        if self.is_read_only:
            return "is write protected; move the lock on the side of the card"
        if self.size_bytes < image_bytes:
            return (
                f"has room for {self.size_bytes} bytes, and the image needs {image_bytes}; "
                "take a larger card"
            )
        return None

    def dangers(self) -> tuple[str, ...]:
        """Why it should not be written to; may be empty."""
        found = []
        if system := sorted(_SYSTEM_MOUNTS.intersection(self.mounts)):
            found.append(f"carries the running system ({', '.join(system)})")
        if others := [mount for mount in self.mounts if mount not in _SYSTEM_MOUNTS]:
            found.append(f"is mounted at {', '.join(others)}; unmount it")
        if self.swaps:
            found.append(f"is swapped to ({', '.join(self.swaps)}); swapoff first")
        if self.holders:
            found.append(f"carries {', '.join(self.holders)} (LVM, RAID or encryption)")
        if not self.is_removable:
            found.append("is not removable: is it a disk of this computer?")
        return tuple(found)


def inspect(path: Path, kernel: Kernel = Kernel()) -> Card:
    """What Linux knows about a card.

    Raises:
        FlashError: it is not there, no block device, or only a part of a disk.
    """
    name = _kernel_name(path, kernel)
    folder = kernel.sys / "class/block" / name
    parts = [name, *(file.parent.name for file in folder.glob("*/partition"))]
    held = sorted({holder for part in parts for holder in _holders(part, kernel)})
    family = {*parts, *held}
    return Card(
        path=path,
        name=name,
        model=" ".join(f"{_word(folder / 'device/vendor')} {_model(folder)}".split()),
        size_bytes=int(_word(folder / "size") or 0) * _SECTOR_BYTES,
        is_removable=_is_removable(folder),
        is_read_only=_word(folder / "ro") == "1",
        mounts=tuple(sorted(_mounts(family, kernel))),
        swaps=tuple(sorted(_swaps(family, kernel))),
        holders=tuple(held),
    )


def refuse_unless_named_twice(card: Card, image_bytes: int, really: Path | None) -> None:
    """Raise FlashError unless a card may be written to, or is named twice.

    Args:
        card: what is to be written to.
        image_bytes: how much.
        really: the card once more, from somebody who wants it in spite of its dangers.

    Raises:
        FlashError: it cannot be, or is dangerous and was named once.
    """
    if why := card.impossible(image_bytes):
        raise FlashError(f"{card.path}: {why}")
    dangers = card.dangers()
    if dangers and (really is None or really.resolve() != card.path.resolve()):
        raise FlashError(
            f"{card.title}: {'; '.join(dangers)}; everything on it would be lost. "
            f"If you mean it, name it twice: --card {card.path} --really {card.path}"
        )


def _kernel_name(path: Path, kernel: Kernel) -> str:
    if not kernel.sys.is_dir():
        raise FlashError(
            f"{path}: writing images needs Linux; elsewhere write the card with Raspberry Pi "
            "Imager and seed it with --boot"
        )
    try:
        status = path.stat()
    except OSError as error:
        raise FlashError(f"{path}: {error.strerror}; `lsblk` lists what is there") from error
    if not stat.S_ISBLK(status.st_mode):
        raise FlashError(f"{path}: expected a block device like /dev/sdb, got another file")
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    folder = (kernel.sys / "dev/block" / number).resolve()
    if (folder / "partition").exists():
        raise FlashError(
            f"{path}: expected a whole disk, got a part of one; "
            f"it is part of /dev/{folder.parent.name}"
        )
    return folder.name


def _is_removable(folder: Path) -> bool:
    """Cards in a slot of the computer are removable too, though their card says it is not."""
    return _word(folder / "removable") == "1" or _word(folder / "device/type") == "SD"


def _model(folder: Path) -> str:
    return _word(folder / "device/model") or _word(folder / "device/name")


def _holders(name: str, kernel: Kernel) -> Iterator[str]:
    for holder in (kernel.sys / "class/block" / name / "holders").glob("*"):
        yield holder.name
        yield from _holders(holder.name, kernel)


def _mounts(names: set[str], kernel: Kernel) -> Iterator[str]:
    for line in _lines(kernel.proc / "self/mountinfo"):
        before, _, after = line.partition(" - ")
        number, mount_point = before.split()[2], before.split()[4]
        source = after.split()[1]
        by_number = (kernel.sys / "dev/block" / number).resolve().name
        # btrfs counts its mounts by numbers of no card, and names one by its path
        if by_number in names or (source.startswith("/dev/") and Path(source).name in names):
            yield _unescaped(mount_point)


def _swaps(names: set[str], kernel: Kernel) -> Iterator[str]:
    for line in _lines(kernel.proc / "swaps")[1:]:
        source = Path(_unescaped(line.split()[0]))
        if source.resolve().name in names:
            yield str(source)


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), word)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
