"""What the first bytes of a JPEG or PNG promise, told without decoding it.

A decoder takes memory by the declared size, and fills in what a truncated file lacks with grey.
"""

from __future__ import annotations

_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_JPEG_MARK = 0xFF
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG, DAC
_JPEG_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND"


def is_jpeg(data: bytes) -> bool:
    """By its first bytes, whatever its name."""
    return data.startswith(_JPEG)


def declared_size_px(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG or PNG, as stored; None for other formats, or when it has none."""
    if data.startswith(_PNG):
        return _number(data[16:20]), _number(data[20:24])
    for marker, start in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            return _number(data[start + 7 : start + 9]), _number(data[start + 5 : start + 7])
    return None


def is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end; True for other formats, whose decoders notice."""
    if data.startswith(_PNG):
        return _PNG_END in data[-64:]
    if is_jpeg(data):
        scans = [start for marker, start in _jpeg_segments(data) if marker == _JPEG_SCAN]
        return bool(scans) and data.rfind(_JPEG_END) > scans[0]  # a thumbnail has an end, too
    return True


def _jpeg_segments(data: bytes) -> list[tuple[int, int]]:
    """(marker, offset) of the segments up to the first scan."""
    segments = []
    at = 2
    while is_jpeg(data) and at + 4 <= len(data) and data[at] == _JPEG_MARK:
        marker = data[at + 1]
        if marker == _JPEG_MARK:  # padding
            at += 1
            continue
        segments.append((marker, at))
        if marker == _JPEG_SCAN:
            break
        at += 2 + (0 if marker in _JPEG_BARE else _number(data[at + 2 : at + 4]))
    return segments


def _number(big_endian: bytes) -> int:
    return int.from_bytes(big_endian, "big")
