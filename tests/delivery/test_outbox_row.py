"""Rows of an outbox among the bytes of a file."""

from __future__ import annotations

import io
import random

import pytest

from edge_reid.delivery.outbox_row import Row, has_row

ROW = Row(7, "edge-reid/lab/gate/hit", 12.5, b'{"schema":"edge-reid.hit/1","seq":7}').to_bytes()
PIECE_BYTES = 1 << 20
"""What is read of a file at once."""


@pytest.mark.parametrize("ahead", [0, 512, *range(PIECE_BYTES - len(ROW), PIECE_BYTES + 1, 9)])
def test_a_row_is_found_wherever_it_lies(ahead: int) -> None:
    assert has_row(io.BytesIO(bytes(ahead) + ROW + bytes(PIECE_BYTES)))


def test_where_there_is_none_none_is_found() -> None:
    film = random.Random(7).randbytes(2 * PIECE_BYTES)
    assert not has_row(io.BytesIO(b""))
    assert not has_row(io.BytesIO(film))
    assert not has_row(io.BytesIO(film + ROW[:-1])), "cut off"
    assert not has_row(io.BytesIO(ROW.replace(b"gate", b"gape"))), "not as it was written"
