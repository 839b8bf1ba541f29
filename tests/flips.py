"""Every bit of a file, or some of them, changed one at a time as a worn disk does it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

HEAD_BYTES = 112
"""The head of an SQLite file and of its first page."""


def chosen_bits(size_bytes: int, *, first_page: int, elsewhere: int, seed: int = 0) -> list[int]:
    """All bits of the head, and so many at random of the rest of the first page and of the file."""
    dice = random.Random(seed)
    head, page = HEAD_BYTES * 8, 4096 * 8
    return [
        *range(head),
        *sorted(dice.sample(range(head, page), min(first_page, page - head))),
        *sorted(dice.sample(range(page, size_bytes * 8), min(elsewhere, size_bytes * 8 - page))),
    ]


def each_flipped(path: Path, bits: list[int]) -> Iterator[int]:
    """The file with one bit changed after the other; nothing lies beside it then."""
    whole = path.read_bytes()
    for bit in bits:
        body = bytearray(whole)
        body[bit // 8] ^= 1 << bit % 8
        for stray in path.parent.glob(f"{path.name}*"):
            stray.unlink()
        path.write_bytes(body)
        yield bit
