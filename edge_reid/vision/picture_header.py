"""What the first bytes of a picture promise, told without decoding it.

A decoder takes memory by the declared size, and fills in what a truncated file lacks with grey.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_JPEG_MARK = 0xFF
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG, DAC
_JPEG_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND"
_PNG_SIZES = {b"IHDR": 8, b"fcTL": 12}  # where the width stands: of the image, of a moving frame
_BMP = b"BM"
_BMP_OLD_HEADER = 12
_TIFF: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_OTHER_KINDS = {
    b"GIF8": "GIF",
    b"%PDF": "PDF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(_HEIC_BRANDS, "HEIC")
_MAX_BRANDS_BYTES = 256
_TIFF_WIDTHS = (256, 322)  # of the image, and of its tiles
_TIFF_HEIGHTS = (257, 323)
_TIFF_SHORT = 3

Size = tuple[int, int]


def is_jpeg(data: bytes) -> bool:
    """By its first bytes, whatever its name."""
    return data.startswith(_JPEG)


def declared_size_px(data: bytes) -> Size | None:
    """(width, height) of a JPEG, PNG, BMP, TIFF or WebP, as stored; None when it is none of them,
    or declares none.
    """
    if data.startswith(_PNG):
        return _png_size(data)
    if data.startswith(_BMP):
        return _bmp_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if order := _TIFF.get(data[:4]):
        return _tiff_size(data, order)
    for marker, start in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            return _big(data[start + 7 : start + 9]), _big(data[start + 5 : start + 7])
    return None


def other_kind(data: bytes) -> str | None:
    """What a file is that `declared_size_px` knows nothing of; None when that is not known."""
    if data[4:8] == b"ftyp":
        end = min(_big(data[:4]), _MAX_BRANDS_BYTES)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
        return next((_BRANDS[each] for each in brands if each in _BRANDS), "video")
    return next((name for start, name in _OTHER_KINDS.items() if data.startswith(start)), None)


def is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end; True for other formats, whose decoders notice."""
    if data.startswith(_PNG):
        return any(kind == _PNG_END for kind, _ in _png_chunks(data))
    if is_jpeg(data):
        scan = next((at for marker, at in _jpeg_segments(data) if marker == _JPEG_SCAN), None)
        return scan is not None and data.rfind(_JPEG_END) > scan  # a thumbnail has an end, too
    return True


def has_true_checksums(data: bytes) -> bool:
    """Whether every chunk of a PNG is as its writer left it; True for formats without checksums."""
    if not data.startswith(_PNG):
        return True
    chunks = ((at + 4, at + 8 + _big(data[at : at + 4])) for _, at in _png_chunks(data))
    return all(zlib.crc32(data[at:end]) == _big(data[end : end + 4]) for at, end in chunks)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """(kind, offset) up to the end. Only whole ones: a decoder makes room for what one declares."""
    at, kind = len(_PNG), b""
    while kind != _PNG_END and (end := at + 12 + _big(data[at : at + 4])) <= len(data):
        kind = data[at + 4 : at + 8]
        yield kind, at
        at = end


def _png_size(data: bytes) -> Size | None:
    """The largest of all that are declared."""
    sizes = [
        (_big(data[start : start + 4]), _big(data[start + 4 : start + 8]))
        for kind, at in _png_chunks(data)
        if (start := at + _PNG_SIZES.get(kind, 0)) > at
    ]
    return (max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, offset) of the segments up to the first scan; as decoders do, over what is none."""
    at = 2 if is_jpeg(data) else -1
    while at >= 0 and (at := data.find(_JPEG_MARK, at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker in (_JPEG_MARK, 0):  # padding
            at += 1
            continue
        yield marker, at
        if marker == _JPEG_SCAN:
            return
        at += 2 + (0 if marker in _JPEG_BARE else _big(data[at + 2 : at + 4]))


def _bmp_size(data: bytes) -> Size:
    if _little(data[14:18]) == _BMP_OLD_HEADER:
        return _little(data[18:20]), _little(data[20:22])
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    return abs(width), abs(height)  # stored from the top, its height is negative


def _webp_size(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
    if kind == b"VP8L":
        bits = _little(data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return _little(data[24:27]) + 1, _little(data[27:30]) + 1
    return None


def _tiff_size(data: bytes, order: Literal["little", "big"]) -> Size | None:
    """Of the first page; the larger of image and tile, which decoders make room for as well."""

    def number(at: int, length: int) -> int:
        return int.from_bytes(data[at : at + length], order)

    found: dict[int, int] = {}
    start = number(4, 4)
    for entry in range(start + 2, start + 2 + 12 * number(start, 2), 12):
        tag, length = number(entry, 2), 2 if number(entry + 2, 2) == _TIFF_SHORT else 4
        found[tag] = max(found.get(tag, 0), number(entry + 8, length))
    width, height = (
        max(found.get(tag, 0) for tag in tags) for tags in (_TIFF_WIDTHS, _TIFF_HEIGHTS)
    )
    return (width, height) if width and height else None


def _big(body: bytes) -> int:
    return int.from_bytes(body, "big")


def _little(body: bytes) -> int:
    return int.from_bytes(body, "little")
