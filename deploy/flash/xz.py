"""How large an .xz file is unpacked, read from its end: known before a byte is unpacked.

The layout is that of https://tukaani.org/xz/xz-file-format.txt: streams, each with an index of its
blocks before its footer. A file that was cut off has no footer where it should be.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from edge_reid.core.errors import FlashError

HEADER_BYTES = 12
FOOTER_BYTES = 12
_MAGIC = b"\xfd7zXZ\x00"
_FOOTER_MAGIC = b"YZ"
_MOST_INDEX_BYTES = 64 << 20


def unpacked_bytes(path: Path) -> int:
    """The size of what is packed in a file, of all its streams.

    Raises:
        FlashError: the file is no .xz, or is cut off or damaged where that shows.
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        total = 0
        while end > 0:
            end = _without_padding(file, end)
            index, start = _index_before(file, end, path)
            total += _sum_of_blocks(index)
            end = start
    return total


def _without_padding(file: BinaryIO, end: int) -> int:
    while end >= HEADER_BYTES and _read(file, end - 4, 4) == bytes(4):
        end -= 4
    return end


def _index_before(file: BinaryIO, end: int, path: Path) -> tuple[bytes, int]:
    """The index of the stream that ends there, and where that stream starts."""
    footer = _read(file, end - FOOTER_BYTES, FOOTER_BYTES) if end >= FOOTER_BYTES else b""
    if footer[-2:] != _FOOTER_MAGIC or zlib.crc32(footer[4:10]) != _number(footer[:4]):
        raise FlashError(
            f"{path}: expected the end of an .xz file, got none: it is cut off or "
            "damaged; download it again"
        )
    size = (_number(footer[4:8]) + 1) * 4
    index_start = end - FOOTER_BYTES - size
    index = _read(file, index_start, size) if 0 < size <= min(end, _MOST_INDEX_BYTES) else b""
    if not index or zlib.crc32(index[:-4]) != _number(index[-4:]):
        raise FlashError(f"{path}: the index of this .xz file is damaged; download it again")
    start = index_start - _bytes_of_blocks(index) - HEADER_BYTES
    if start < 0 or _read(file, start, len(_MAGIC)) != _MAGIC:
        raise FlashError(f"{path}: this .xz file is cut off or damaged; download it again")
    return index, start


def _bytes_of_blocks(index: bytes) -> int:
    return sum((unpadded + 3) // 4 * 4 for unpadded, _ in _records(index))


def _sum_of_blocks(index: bytes) -> int:
    return sum(unpacked for _, unpacked in _records(index))


def _records(index: bytes) -> list[tuple[int, int]]:
    """Of every block: its packed size without padding, its unpacked size."""
    count, at = _variable(index, 1)
    records = []
    for _ in range(count):
        unpadded, at = _variable(index, at)
        unpacked, at = _variable(index, at)
        records.append((unpadded, unpacked))
    return records


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where the next begins."""
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def _number(four: bytes) -> int:
    return int(struct.unpack("<I", four)[0])


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(max(at, 0))
    return file.read(size)
