"""Partition tables, MBR and GPT, as far as finding a boot partition needs them."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_reid.core.errors import FlashError

SECTOR_BYTES = 512
_TABLE_BYTES = 34 * SECTOR_BYTES
_GPT_COVER = 0xEE
_FAT_KINDS = frozenset(("01", "04", "06", "0b", "0c", "0e", "ef"))
_FAT_GUIDS = frozenset(
    (
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",  # EFI system
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",  # basic data
    )
)


@dataclass(frozen=True, slots=True)
class Partition:
    """Where one lies on its disk."""

    number: int
    start_bytes: int
    size_bytes: int
    kind: str
    """Two hex digits of an MBR, a GUID of a GPT; lower case."""

    @property
    def end_bytes(self) -> int:
        return self.start_bytes + self.size_bytes

    @property
    def is_fat(self) -> bool:
        return self.kind in _FAT_KINDS | _FAT_GUIDS


def partitions(start: bytes, where: str) -> tuple[Partition, ...]:
    """The partitions of a disk, from its first 17 KiB or more.

    Raises:
        FlashError: there is no table, or it is empty.
    """
    if len(start) < SECTOR_BYTES or start[510:512] != b"\x55\xaa":
        raise FlashError(
            f"{where}: expected a disk image with a partition table, got none; "
            "take the .img or .img.xz of Raspberry Pi OS"
        )
    found = tuple(_mbr(start))
    if any(entry.kind == f"{_GPT_COVER:02x}" for entry in found):
        found = tuple(_gpt(start[:_TABLE_BYTES]))
    if not found:
        raise FlashError(f"{where}: its partition table is empty")
    return found


def boot_partition(table: Sequence[Partition], where: str) -> Partition:
    """The first FAT partition: firmware and kernel lie there.

    Raises:
        FlashError: there is none.
    """
    fat = [entry for entry in table if entry.is_fat]
    if not fat:
        kinds = " ".join(entry.kind for entry in table)
        raise FlashError(
            f"{where}: expected a FAT partition to boot from, got partitions {kinds}; "
            "is it an image for a Raspberry Pi?"
        )
    return fat[0]


def _mbr(start: bytes) -> Iterator[Partition]:
    for number in range(4):
        entry = start[446 + 16 * number :][:16]
        first, count = struct.unpack("<II", entry[8:16])
        if entry[4] and count:
            yield Partition(
                number + 1, first * SECTOR_BYTES, count * SECTOR_BYTES, f"{entry[4]:02x}"
            )


def _gpt(start: bytes) -> Iterator[Partition]:
    header = start[SECTOR_BYTES : 2 * SECTOR_BYTES]
    if header[:8] != b"EFI PART":
        return
    first_entry, count, size = struct.unpack("<QII", header[72:88])
    for number in range(count):
        entry = start[first_entry * SECTOR_BYTES + number * size :][:size]
        if len(entry) < 48 or not any(entry[:16]):  # noqa: PLR2004 - as far as the last sector
            continue
        first, last = struct.unpack("<QQ", entry[32:48])
        kind = str(uuid.UUID(bytes_le=entry[:16]))
        yield Partition(number + 1, first * SECTOR_BYTES, (last - first + 1) * SECTOR_BYTES, kind)
