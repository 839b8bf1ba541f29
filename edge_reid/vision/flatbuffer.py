"""Flatbuffers, read with every offset checked: https://flatbuffers.dev/internals/.

The FlatBuffers library for Python follows offsets unchecked, and so do runtimes in C++.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_ITEMS = 1 << 20
"""Of a vector of tables; a model has some hundred operators."""
_HEAD_BYTES = 4
"""Of a table, and of the table of its fields."""


class FlatbufferError(Exception):
    """An offset leads out of the file, in words."""


@dataclass(frozen=True, slots=True)
class Flatbuffer:
    """The bytes of one."""

    body: bytes

    @property
    def root(self) -> Table:
        """Its root table; raises FlatbufferError, as everything here does."""
        return Table.at(self, self.offset(0))

    def number(self, at: int, code: str) -> int:
        """One number, in `struct`'s code."""
        layout = struct.Struct(f"<{code}")
        if not 0 <= at <= len(self.body) - layout.size:
            raise FlatbufferError(f"an offset leads to byte {at} of {len(self.body)}")
        (value,) = layout.unpack_from(self.body, at)
        return int(value)

    def offset(self, at: int) -> int:
        """Where the offset that stands at `at` leads."""
        return at + self.number(at, "I")


@dataclass(frozen=True, slots=True)
class Table:
    """A table; fields are named by their number in the schema."""

    buffer: Flatbuffer
    start: int
    vtable: int
    fields: int
    size: int

    @classmethod
    def at(cls, buffer: Flatbuffer, start: int) -> Table:
        vtable = start - buffer.number(start, "i")
        length, size = buffer.number(vtable, "H"), buffer.number(vtable + 2, "H")
        if length < _HEAD_BYTES or length % 2 or size < _HEAD_BYTES:
            raise FlatbufferError(f"the table at byte {start} has no right size")
        buffer.number(vtable + length - 2, "H")
        buffer.number(start + size - 1, "B")
        return cls(buffer, start, vtable, (length - _HEAD_BYTES) // 2, size)

    def _place(self, field: int, size: int) -> int | None:
        """Where a field stands; None: it has its default."""
        if field >= self.fields:
            return None
        place = self.buffer.number(self.vtable + _HEAD_BYTES + 2 * field, "H")
        if place and not _HEAD_BYTES <= place <= self.size - size:
            raise FlatbufferError(f"field {field} of the table at byte {self.start} lies outside")
        return self.start + place if place else None

    def number(self, field: int, code: str, default: int = 0) -> int:
        """A number of the table itself."""
        at = self._place(field, struct.calcsize(f"<{code}"))
        return default if at is None else self.buffer.number(at, code)

    def table(self, field: int) -> Table | None:
        """A table that it refers to."""
        at = self._place(field, 4)
        return None if at is None else Table.at(self.buffer, self.buffer.offset(at))

    def numbers(self, field: int, dtype: str) -> NDArray[np.generic]:
        """A vector of numbers; empty if there is none."""
        at = self._place(field, 4)
        if at is None:
            return np.empty(0, dtype)
        start = self.buffer.offset(at)
        count, item = self.buffer.number(start, "I"), np.dtype(f"<{dtype}")
        if count and start + 4 + count * item.itemsize > len(self.buffer.body):
            raise FlatbufferError(f"a vector of {count} numbers at byte {start} is cut off")
        return np.frombuffer(self.buffer.body, item, count, start + 4)

    def text(self, field: int) -> bytes:
        """A string, which a zero ends: C reads up to it."""
        at = self._place(field, 4)
        if at is None:
            return b""
        start = self.buffer.offset(at)
        body = self.numbers(field, "u1").tobytes()
        if self.buffer.number(start + 4 + len(body), "B"):
            raise FlatbufferError(f"the text at byte {start} has no end")
        return body

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of a vector."""
        at = self._place(field, 4)
        if at is None:
            return
        start = self.buffer.offset(at)
        count = self.buffer.number(start, "I")
        if count > MAX_ITEMS:
            raise FlatbufferError(f"a vector at byte {start} claims {count} tables")
        for n in range(count):
            yield Table.at(self.buffer, self.buffer.offset(start + 4 + 4 * n))
