"""Zip files that cannot be read, each in its own way."""

from __future__ import annotations

_CENTRAL = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"


def unreadable_zips(whole: bytes) -> dict[str, bytes]:
    """What becomes of a zip of deflated files, by what was done to it."""
    return {
        "cut": whole[:-30],
        "of a later version": _changed(whole, whole.rindex(_CENTRAL) + 6, 99),
        "encrypted": _changed(whole, whole.index(_CENTRAL) + 8, 1),
        "of another compression": _changed(whole, whole.index(_CENTRAL) + 10, 97),
        "with a bad block": _changed(whole, _first_byte(whole), 0xFF),
        "without its first header": _changed(whole, whole.index(_LOCAL), 0),
    }


def _changed(whole: bytes, at: int, value: int) -> bytes:
    bent = bytearray(whole)
    bent[at] = value
    return bytes(bent)


def _first_byte(whole: bytes) -> int:
    """Where the first file's compressed bytes begin."""
    at = whole.index(_LOCAL)
    name, extra = (int.from_bytes(whole[at + n : at + n + 2], "little") for n in (26, 28))
    return at + 30 + name + extra
