"""Every bit of a file, or some of them, changed one at a time as a worn disk does it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

HEAD_BYTES = 112
"""The head of an SQLite file and of its first page."""
FIRST_PAGE_BYTES = 4096
"""What the tables are, in a file of few of them."""


def chosen_bits(
    size_bytes: int, *, head: int, first_page: int, elsewhere: int, seed: int = 0
) -> list[int]:
    """So many bits at random of the head, of the rest of the first page, and of the file."""
    dice = random.Random(seed)
    parts = (
        (0, HEAD_BYTES, head),
        (HEAD_BYTES, FIRST_PAGE_BYTES, first_page),
        (FIRST_PAGE_BYTES, size_bytes, elsewhere),
    )
    return [
        bit
        for start, end, count in parts
        for bit in sorted(dice.sample(range(start * 8, end * 8), min(count, (end - start) * 8)))
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
